import assert from "node:assert/strict";
import { test } from "node:test";
import { ago } from "../../web/times.js";
import { TIMING, backoff } from "../../web/timing.js";
import { spoken } from "../../web/words.js";

test("a state is written as people write", () => {
  assert.equal(spoken("waiting_for_a_review"), "Waiting for a review");
});

test("an age is told in the largest unit that fits, and never lies in the future", () => {
  const now = Date.UTC(2026, 0, 1);
  const told = [-5, 0, 1, 59, 60, 3_599, 7_200, 200_000].map((seconds) => ago(now - 1_000 * seconds, now));
  assert.deepEqual(told, ["now", "now", "1 second ago", "59 seconds ago", "1 minute ago", "59 minutes ago", "2 hours ago", "2 days ago"]);
});

test("the pause between two tries doubles up to half a minute, and is spread over its whole length", () => {
  const most = (/** @type {number} */ failures) => Math.max(...Array.from({ length: 500 }, () => backoff(failures, TIMING)));
  assert.ok(most(1) <= 1_000);
  assert.ok(most(4) <= 8_000 && most(4) > 4_000);
  assert.ok(most(50) <= 30_000 && most(50) > 15_000);
  assert.ok(Math.min(...Array.from({ length: 500 }, () => backoff(6, TIMING))) < 3_000);
});
