import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { drawn, summary } from "../../web/chart.js";
import { RANGES, parseHistory, slotsOf } from "../../web/history.js";
import { drawn as columns } from "../../web/past.js";

const RANGE = { words: "the last 4 minutes", slot: 60_000, slots: 4, group: null };
const NOW = 4 * 60_000 - 15_000; // the fourth minute is three quarters over

/** @param {number} at @param {number} running @param {number} [pending] */
const entry = (at, running, pending = 0) => ({ at, running, pending, transitions: 1 });

describe("the slots of a chart", () => {
  test("each has the last counts in it, never a sum, and the number of changes", () => {
    const slots = slotsOf([entry(61_000, 1), entry(62_000, 2), entry(119_000, 1)], entry(-5, 4), RANGE, NOW);
    assert.deepEqual(slots.map(({ running }) => running), [4, 1, 1, 1]);
    assert.deepEqual(slots.map(({ transitions }) => transitions), [0, 3, 0, 0]);
    assert.deepEqual([slots[0]?.start, slots[3]?.end], [0, NOW]);
  });

  test("what was before the log began is not known", () => {
    assert.deepEqual(slotsOf([entry(61_000, 1)], null, RANGE, NOW).map(({ running }) => running), [null, 1, 1, 1]);
  });

  test("what nobody told since the stream was lost is not known", () => {
    assert.deepEqual(slotsOf([], entry(-1, 3), RANGE, NOW, 61_000).map(({ running }) => running), [3, 3, null, null]);
  });

  test("they move on while nothing is asked anew", () => {
    const slots = slotsOf([entry(30_000, 5), entry(70_000, 6)], null, RANGE, NOW + 120_000);
    assert.deepEqual(slots.map(({ running }) => running), [6, 6, 6, 6]);
    assert.equal(slots.reduce((sum, { transitions }) => sum + transitions, 0), 0);
  });

  for (const [name, range] of Object.entries(RANGES)) {
    test(`a ${name}'s are aligned to UTC, and end now`, () => {
      const now = Date.parse("2026-11-25T19:12:34Z");
      const slots = slotsOf([], null, range, now);
      assert.equal(slots.length, range.slots);
      assert.ok(slots.every(({ start }) => start % range.slot === 0));
      assert.equal(slots.at(-1)?.end, now);
    });
  }
});

test("the answer of the log is read oldest first, and tells whether it is all of it", () => {
  const row = { executions_running: 2, executions_pending: 3 };
  const data = [{ timestamp: "1970-01-01T00:00:02Z", ...row, transitions: 7 }, { timestamp: "1970-01-01T00:00:01Z", ...row }, {}];
  const { entries, complete } = parseHistory(JSON.stringify({ data, page: 1, per_page: 3, total: 4 }));
  assert.deepEqual(entries.map(({ at, transitions }) => [at, transitions]), [[1_000, 1], [2_000, 7]]);
  assert.equal(complete, false);
});

describe("the picture", () => {
  /** @param {(number | null)[]} running */
  const shown = (...running) => ({
    range: RANGE, now: running.length * 60_000, skew: 0, error: null, loading: false,
    slots: running.map((count, place) => ({ start: place * 60_000, end: (place + 1) * 60_000, running: count, pending: count, transitions: 1 })),
  });

  test("is steps from slot to slot, with gaps where nothing is known", () => {
    const { gap, running, ground } = drawn(shown(0, 2, null, 1), 2);
    assert.equal(running, "M0 98H250V2H500M750 48.5H1000");
    assert.equal(gap, "M500 0H750V100H500Z");
    assert.equal(ground, "M0 100V98H250V2H500V100H0ZM750 100V48.5H1000V100H750Z");
  });

  test("is told in words", () => {
    const words = summary("Executions", shown(0, 12, null, 1));
    assert.match(words, /^Executions over the last 4 minutes: now 1 running and 1 pending; most running 12 on .*; 4 changes; part of it is not known\.$/);
    assert.equal(summary("Executions", shown(null)), "Executions over the last 4 minutes: not known.");
    assert.equal(summary("Executions", { ...shown(), loading: true }), "Executions over the last 4 minutes: loading.");
  });
});

describe("the badge's own history", () => {
  /** @param {number} at @param {number} stable @param {number} gap */
  const slot = (at, stable, gap) => ({ start: at, end: at + 1, stable, processing: 0, gap });

  test("is a column for each slot, and one for all of those one after the other in which nothing is known", () => {
    const { stable, gap } = columns([slot(0, 0, 100), slot(1, 0, 100), slot(2, 100, 0), slot(3, 50, 50), slot(4, 0, 100)], 1);
    assert.equal(gap, "M0 100V0H370V100ZM600 50V0H770V50ZM800 100V0H970V100Z");
    assert.equal(stable, "M400 100V0H570V100ZM600 100V50H770V100Z");
  });
});
