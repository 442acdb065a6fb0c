import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { Rows, Telling } from "../../web/rows.js";

/** @typedef {import("../../web/rows.js").News} News */

/** @param {import("node:test").TestContext} t */
function telling(t) {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  /** @type {News[]} */ const told = [];
  const telling = new Telling((news) => told.push(news));
  return { telling, told };
}

const hello = (epoch = "a") => ({ epoch, time: null });
/** @param {string} key @param {Record<string, unknown> | null} row */
const change = (key, row) => ({ topic: "things", key, row });
/** @param {Telling} telling */
const known = (telling) => Object.fromEntries(telling.rows.of("things"));

describe("what a stream tells of rows", () => {
  test("a snapshot is told once it is complete, empty topics too", (t) => {
    const { telling: it, told } = telling(t);
    it.hello(hello(), ["others", "things"]);
    it.change(change("1", { n: 1 }), "a-1");
    mock.timers.tick(1_000);
    assert.deepEqual([told, it.topics], [[], []]);
    it.ready("a-1");
    assert.deepEqual(told, [{ others: { whole: true, rows: {} }, things: { whole: true, rows: { 1: { n: 1 } } } }]);
    assert.deepEqual(it.topics, ["others", "things"]);
  });

  test("changes come one by one, and those that come together are told together", (t) => {
    const { telling: it, told } = telling(t);
    it.hello(hello(), ["things"]);
    it.ready("a-0");
    mock.timers.tick(0);
    it.change(change("1", { n: 1 }), "a-1");
    it.change(change("1", { n: 2 }), "a-2");
    it.change(change("2", { n: 3 }), "a-3");
    it.change(change("2", null), "a-4");
    mock.timers.tick(100);
    assert.deepEqual(told.slice(1), [{ things: { whole: false, rows: { 1: { n: 2 }, 2: null } } }]);
    assert.deepEqual(known(it), { 1: { n: 2 } });
  });

  test("a stream that goes on keeps what is known", (t) => {
    const { telling: it } = telling(t);
    it.hello(hello(), ["things"]);
    it.change(change("1", { n: 1 }), "a-1");
    it.ready("a-1");
    assert.deepEqual([it.cursor(["things"]), it.cursor(["others", "things"])], ["a-1", ""]);
    it.hello(hello(), ["things"]);
    assert.deepEqual([it.topics, known(it)], [["things"], { 1: { n: 1 } }]);
    it.change(change("2", { n: 2 }), "a-2");
    it.ready("a-2");
    assert.deepEqual(known(it), { 1: { n: 1 }, 2: { n: 2 } });
  });

  test("a snapshot that was cut off goes on where it ended", (t) => {
    const { telling: it } = telling(t);
    it.hello(hello(), ["things"]);
    it.change(change("1", { n: 1 }), "a-1");
    it.hello(hello(), ["things"]);
    it.change(change("2", { n: 2 }), "a-2");
    it.ready("a-2");
    assert.deepEqual(known(it), { 1: { n: 1 }, 2: { n: 2 } });
  });

  test("another life of the server begins anew: old rows stay until the new ones are known, then those that went are gone", (t) => {
    const { telling: it } = telling(t);
    it.hello(hello("a"), ["things"]);
    it.change(change("1", { n: 1 }), "a-1");
    it.ready("a-1");
    it.hello(hello("b"), ["things"]);
    assert.deepEqual([it.cursor(["things"]), it.topics, known(it)], ["", [], { 1: { n: 1 } }]);
    it.change(change("2", { n: 2 }), "b-1");
    assert.deepEqual(known(it), { 1: { n: 1 } });
    it.ready("b-1");
    assert.deepEqual(known(it), { 2: { n: 2 } });
  });

  test("a reset forgets what was known, amid changes", (t) => {
    const { telling: it } = telling(t);
    it.hello(hello(), ["things"]);
    it.change(change("1", { n: 1 }), "a-1");
    it.ready("a-1");
    it.reset();
    it.change(change("2", { n: 2 }), "a-9");
    mock.timers.tick(100);
    assert.deepEqual(known(it), { 2: { n: 2 } });
  });
});

test("who comes late is told all that is known, of the topics that it asks for", () => {
  const rows = new Rows();
  rows.apply({ things: { whole: true, rows: { 1: { n: 1 } } }, others: { whole: true, rows: {} } });
  const late = new Rows();
  late.apply(rows.all(["things", "nothing"]));
  assert.deepEqual([late.of("things"), late.of("others"), late.of("nothing")], [new Map([["1", { n: 1 }]]), new Map(), new Map()]);
});
