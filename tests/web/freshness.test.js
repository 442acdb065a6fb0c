import assert from "node:assert/strict";
import { test } from "node:test";
import { freshness } from "../../web/freshness.js";

const SEEN = Date.parse("2026-01-01T00:00:00Z");
const row = { observed_at: "2026-01-01T00:00:00Z", stale_after: "2026-01-01T00:01:00.000Z" };

test("stale at two of its expected intervals, unknown at three, with the moment of the next change", () => {
  const at = (/** @type {number} */ seconds) => freshness(row, SEEN + 1_000 * seconds);
  assert.deepEqual(at(59), { freshness: "fresh", until: SEEN + 60_000 });
  assert.deepEqual(at(60), { freshness: "stale", until: SEEN + 90_000 });
  assert.deepEqual(at(89), { freshness: "stale", until: SEEN + 90_000 });
  assert.deepEqual(at(90), { freshness: "unknown", until: Infinity });
});

test("seconds after the observation mean the same", () => {
  assert.equal(freshness({ ...row, stale_after: 60 }, SEEN + 61_000).freshness, "stale");
});

test("what nobody observes does not age", () => {
  assert.deepEqual(freshness({}, SEEN), { freshness: "fresh", until: Infinity });
  assert.deepEqual(freshness({ ...row, stale_after: null }, SEEN * 2), { freshness: "fresh", until: Infinity });
});
