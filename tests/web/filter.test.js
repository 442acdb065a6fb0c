import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { told } from "../../web/filter.js";

const CHECK = { id: "c", name: "Disk", status: "critical", output: null };
const SERVICE = { name: "web", port: 80, tags: ["blue", "eu"], meta: { team: { lead: "ada" } }, checks: [CHECK], address: null };

describe("what a filter finds", () => {
  test("is every value of a row, within lists and objects too", () => {
    const words = told(SERVICE).filter(Boolean);
    assert.deepEqual(words, ["web", "80", "blue", "eu", "ada", "c", "Disk", "critical"]);
  });

  test("is never what a program calls a value", () => {
    assert.ok(!told({ ...SERVICE, nothing: undefined, empty: {}, none: [] }).some((word) => /object|null|undefined/.test(word)));
  });
});
