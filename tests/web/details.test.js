import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Details } from "../../web/details.js";
import { NOTHING_YET } from "../../web/snapshot.js";
import { ScriptedServer, json, status } from "./scripted-server.js";
import { QUICK } from "./watched.js";

const PATH = "/api/system-status/details";
const IDLE = { import_jobs: [], analytics_tasks: [], system_stable: true };
const BUSY = { import_jobs: [{ id: 1, slug: "a" }], analytics_tasks: [], system_stable: false };

/** The stream's side: what it knows, and a way to say that it changed. */
class Hints {
  /** @type {import("../../web/snapshot.js").Snapshot} */
  snapshot = { ...NOTHING_YET, stable: true, loading: false, transport: "live" };
  /** @type {Set<() => void>} */ listeners = new Set();

  subscribe = (/** @type {() => void} */ listener) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  /** @param {Partial<import("../../web/snapshot.js").Snapshot>} news */
  tell(news) {
    this.snapshot = { ...this.snapshot, ...news };
    for (const listener of this.listeners) listener();
  }

  version = 0;

  hint() {
    this.version += 1;
    this.tell({ status: { state: "stable", stable: true, version: this.version } });
  }
}

/** @param {import("node:test").TestContext} t */
async function opened(t) {
  const server = await ScriptedServer.start(t);
  const hints = new Hints();
  const feed = new Details(new URL(PATH, server.base), hints, QUICK);
  return { server, hints, feed };
}

/** @param {Details} feed @param {() => boolean} [fits] @returns {Promise<Details["snapshot"]>} */
function change(feed, fits = () => true) {
  return new Promise((resolve) => {
    const stop = feed.subscribe(() => {
      if (!fits()) return;
      resolve(feed.snapshot);
      queueMicrotask(stop);
    });
  });
}

const asked = (/** @type {ScriptedServer} */ server) => server.asked.filter((path) => path === PATH).length;
const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));

describe("the details", { timeout: 10_000 }, () => {
  test("are fetched when somebody looks, not before, and forgotten when nobody does", async (t) => {
    const { server, hints, feed } = await opened(t);
    server.answers[PATH] = json(IDLE);
    hints.hint();
    assert.equal(asked(server), 0);
    const { details, error } = await change(feed);
    assert.deepEqual([details?.system_stable, error], [true, null]);
    await pause(0);
    assert.equal(feed.snapshot.details, null);
    assert.equal(hints.listeners.size, 0);
  });

  test("are fetched again when the stream tells of a change, many changes at once", async (t) => {
    const { server, hints, feed } = await opened(t);
    server.answers[PATH] = json(IDLE);
    t.after(feed.subscribe(() => {}));
    await change(feed);
    server.answers[PATH] = json(BUSY);
    for (let hint = 0; hint < 100; hint += 1) hints.hint();
    const { details } = await change(feed, () => feed.snapshot.details?.system_stable === false);
    assert.equal(details?.import_jobs.length, 1);
    assert.equal(asked(server), 2);
  });

  test("are not fetched again for a heartbeat of an idle system", async (t) => {
    const { server, hints, feed } = await opened(t);
    server.answers[PATH] = json(IDLE);
    t.after(feed.subscribe(() => {}));
    await change(feed);
    hints.tell({ beat: 99 });
    await pause(300);
    assert.equal(asked(server), 1);
  });

  test("are fetched again for a hint that came during an answer", async (t) => {
    const { server, hints, feed } = await opened(t);
    const arrived = new Promise((resolve) => (server.answers[PATH] = resolve));
    t.after(feed.subscribe(() => {}));
    const response = await arrived;
    hints.hint();
    server.answers[PATH] = json(BUSY);
    json(IDLE)(response);
    await change(feed, () => feed.snapshot.details?.system_stable === false);
    assert.equal(asked(server) >= 2, true);
  });

  test("are not fetched again for a hint that came before the page was paused", async (t) => {
    const { server, hints, feed } = await opened(t);
    const arrived = new Promise((resolve) => (server.answers[PATH] = resolve));
    t.after(feed.subscribe(() => {}));
    const response = await arrived;
    hints.hint();
    hints.tell({ transport: "paused" });
    json(IDLE)(response);
    await change(feed);
    await pause(2 * QUICK.detailsLeast);
    assert.equal(asked(server), 1);
  });

  test("are left to the stream while it lives, and looked at while it does not and work goes on", async (t) => {
    const { server, hints, feed } = await opened(t);
    server.answers[PATH] = json(BUSY);
    hints.tell({ stable: false });
    t.after(feed.subscribe(() => {}));
    await change(feed);
    await pause(2 * QUICK.detailsWatch);
    assert.equal(asked(server), 1);
    hints.tell({ transport: "polling" });
    await change(feed);
    server.answers[PATH] = json({ ...BUSY, import_jobs: [{ id: 1, slug: "b" }] });
    await change(feed, () => feed.snapshot.details?.import_jobs[0]?.slug === "b");
  });

  test("say which HTTP error came, keep what was known, and heal", async (t) => {
    const { server, hints, feed } = await opened(t);
    server.answers[PATH] = json(BUSY);
    t.after(feed.subscribe(() => {}));
    await change(feed);
    server.answers[PATH] = status(500);
    hints.hint();
    const failed = await change(feed, () => feed.snapshot.error !== null);
    assert.equal(failed.error, "HTTP error! status: 500");
    assert.equal(failed.refused, false);
    assert.equal(failed.details?.import_jobs.length, 1);
    server.answers[PATH] = json(IDLE);
    await change(feed, () => feed.snapshot.error === null);
  });

  test("do not go on saying that nothing is in progress", async (t) => {
    const { server, hints, feed } = await opened(t);
    server.answers[PATH] = json(IDLE);
    t.after(feed.subscribe(() => {}));
    await change(feed);
    server.answers[PATH] = status(503);
    hints.hint();
    assert.equal((await change(feed, () => feed.snapshot.error !== null)).details, null);
  });

  test("say that the server wants to know who asks", async (t) => {
    const { server, feed } = await opened(t);
    server.answers[PATH] = status(401);
    assert.equal((await change(feed)).refused, true);
  });

  test("say that the network failed, that the answer is late, or that it is not one", async (t) => {
    for (const broken of [
      (/** @type {import("node:http").ServerResponse} */ response) => void response.destroy(),
      () => {},
      json({ hello: "world" }),
    ]) {
      const { server, feed } = await opened(t);
      server.answers[PATH] = broken;
      assert.match(String((await change(feed)).error), /fetch|timeout|aborted|no lists/);
    }
  });

  test("of a closed modal are aborted, and never shown to the next one", async (t) => {
    const { server, feed } = await opened(t);
    const arrived = /** @type {Promise<import("node:http").ServerResponse>} */ (
      new Promise((resolve) => (server.answers[PATH] = resolve))
    );
    const close = feed.subscribe(() => assert.fail("a closed modal was told"));
    const response = await arrived;
    const gone = new Promise((resolve) => response.once("close", resolve));
    close();
    await gone;
    server.answers[PATH] = json(IDLE);
    assert.equal((await change(feed)).details?.system_stable, true);
  });
});
