import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BAD_FRAME, CONNECTION_ERROR } from "../../web/snapshot.js";
import { ScriptedServer, json } from "./scripted-server.js";
import { Watched } from "./watched.js";

const TIMEOUT = { timeout: 10_000 };

/** @param {Partial<import("../../web/frames.js").Status>} [more] */
const processing = (more) => ({ stable: false, state: "processing", version: 7, sources: {}, ...more });

describe("a stream that works", TIMEOUT, () => {
  test("starts knowing nothing, and the first message ends the loading", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const open = await server.next();
    const before = watched.stream.snapshot;
    assert.deepEqual([before.stable, before.loading, before.error], [null, true, null]);
    open.says(true);
    const { transport, error } = await watched.shows({ stable: true, loading: false });
    assert.deepEqual([transport, error], ["live", null]);
  });

  test("keeps the rich state until a message contradicts it", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const open = await server.next();
    open.says(false);
    open.tells("status", processing({ sources: { import_job: { active: true, count: 2 } } }));
    const { status } = await watched.meets(() => watched.stream.snapshot.status !== null);
    assert.deepEqual(status?.sources, { import_job: { active: true, count: 2 } });
    open.says(true);
    assert.equal((await watched.shows({ stable: true })).status, null);
  });

  test("says unknown when the server does", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    (await server.next()).says(null);
    const { stable, error, transport } = await watched.shows({ loading: false });
    assert.deepEqual([stable, error, transport], [null, null, "live"]);
  });

  for (const broken of ["{", "[]", "null", '"stable"', "{}", '{"stable":"true"}', '{"stable":1}']) {
    test(`takes ${broken} for a broken frame, which changes the error and nothing else`, async (t) => {
      const server = await ScriptedServer.start(t);
      const watched = new Watched(t, server);
      const open = await server.next();
      open.says(true);
      const before = await watched.shows({ stable: true });
      open.send(`data: ${broken}\n\n`);
      const { beat, error, ...rest } = await watched.shows({ error: BAD_FRAME });
      const { beat: _beat, error: _error, ...unchanged } = before;
      assert.deepEqual(rest, unchanged);
      open.says(false);
      assert.equal((await watched.shows({ stable: false })).error, null);
    });
  }

  test("learns the server's build and the proof's age from a heartbeat", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const open = await server.next();
    open.says(true);
    const { provenAt } = await watched.shows({ stable: true });
    open.tells("heartbeat", { time: "2026-01-01T00:00:00Z", version: 1, build: "b1" });
    const after = await watched.shows({ build: "b1" });
    assert.ok(Number(after.provenAt) >= Number(provenAt));
    assert.equal(after.stable, true);
  });

  test("opens again when a heartbeat names a version that never came", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const first = await server.next();
    first.says(false);
    first.tells("status", processing());
    await watched.meets(() => watched.stream.snapshot.status !== null);
    first.tells("heartbeat", { version: 9, build: "b1" });
    await first.closed;
    (await server.next()).says(true);
    await watched.shows({ stable: true });
  });

  test("waits for a version that is on its way", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server, { catchUp: 60 });
    const open = await server.next();
    open.says(false);
    open.tells("status", processing());
    open.tells("heartbeat", { version: 8, build: "b1" });
    open.tells("status", processing({ version: 8 }));
    await watched.meets(() => watched.stream.snapshot.status?.version === 8);
    open.tells("heartbeat", { version: 8, build: "b2" });
    await watched.shows({ build: "b2" });
    const late = await Promise.race([server.next(), new Promise((resolve) => setTimeout(resolve, 150, "none"))]);
    assert.equal(late, "none");
  });

  test("tells how the server itself hears of changes", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const open = await server.next();
    open.says(false);
    open.tells("status", processing({ listener: "live" }));
    open.tells("connection", { listener: "polling", since: "2026-01-01T00:00:00Z" });
    await watched.meets(() => watched.stream.snapshot.status?.listener === "polling");
  });

  test("closes its connection when it is stopped, for good", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const open = await server.next();
    watched.stream.stop();
    await open.closed;
    const again = await Promise.race([server.next(), new Promise((resolve) => setTimeout(resolve, 150, "none"))]);
    assert.equal(again, "none");
  });
});

describe("a stream in trouble", TIMEOUT, () => {
  test("knows nothing once its connection breaks, and comes back", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const open = await server.next();
    open.says(true);
    await watched.shows({ stable: true });
    open.breaks();
    const { error, loading, status, transport } = await watched.shows({ stable: null });
    assert.deepEqual([error, loading, status, transport], [CONNECTION_ERROR, false, null, "reconnecting"]);
    const again = await server.next();
    assert.equal((await watched.shows({ error: null })).stable, null, "an open stream clears the error, and knows nothing yet");
    again.says(false);
    await watched.shows({ stable: false, transport: "live" });
  });

  test("comes back by itself after an answer that ends an EventSource for ever", async (t) => {
    const server = await ScriptedServer.start(t);
    server.refusal = 503;
    const watched = new Watched(t, server);
    await watched.shows({ error: CONNECTION_ERROR, loading: false });
    server.refusal = null;
    (await server.next()).says(true);
    await watched.shows({ stable: true, transport: "live" });
  });

  test("outlives a server that is away, on the same port", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    (await server.next()).says(true);
    await watched.shows({ stable: true });
    await server.stop();
    await watched.shows({ stable: null });
    const again = new ScriptedServer();
    await again.listen(Number(server.port));
    t.after(() => again.stop());
    (await again.next()).says(true);
    await watched.shows({ stable: true });
    await server.listen(0); // for the end of the test, which stops it
  });

  test("does not believe in a connection that fell silent", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server, { silence: 100 });
    const open = await server.next();
    open.says(true);
    await watched.shows({ stable: true });
    await watched.shows({ stable: null });
    await open.closed;
    (await server.next()).says(true);
    await watched.shows({ stable: true });
  });

  test("stays away as long as a goodbye asks, knowing nothing", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server, { pollAfter: 5_000 });
    const open = await server.next();
    open.says(true);
    const before = performance.now();
    open.tells("bye", { retry: 200 });
    await watched.shows({ stable: null });
    await server.next();
    assert.ok(performance.now() - before >= 195);
  });

  test("comes back after a goodbye without a time", async (t) => {
    const server = await ScriptedServer.start(t);
    new Watched(t, server);
    (await server.next()).tells("bye", {});
    await server.next();
  });

  test("does not wait when it is woken", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server, { byeMost: 60_000, pollAfter: 60_000 });
    (await server.next()).tells("bye", { retry: 60_000 });
    await watched.shows({ transport: "reconnecting" });
    watched.stream.wake();
    (await server.next()).says(true);
    await watched.shows({ stable: true });
  });

  test("is not disturbed by a wake-up while it is live", async (t) => {
    const server = await ScriptedServer.start(t);
    const watched = new Watched(t, server);
    const open = await server.next();
    open.says(true);
    await watched.shows({ stable: true });
    watched.stream.wake();
    open.says(false);
    await watched.shows({ stable: false });
    assert.equal(watched.history.some(({ error }) => error), false);
  });
});

describe("polling", TIMEOUT, () => {
  test("begins when no stream gets through, and says so", async (t) => {
    const server = await ScriptedServer.start(t);
    server.refusal = 503;
    server.answers["/api/system-status"] = json(processing());
    const watched = new Watched(t, server);
    const { stable, status, error, loading } = await watched.shows({ transport: "polling", stable: false });
    assert.deepEqual([stable, status?.version, error, loading], [false, 7, null, false]);
    await watched.meets(() => watched.stream.snapshot.note !== null);
  });

  test("begins as well behind a proxy that holds the stream back", async (t) => {
    const server = await ScriptedServer.start(t);
    server.answers["/api/system-status"] = json(processing());
    const watched = new Watched(t, server);
    await server.next(); // open, and silent
    await watched.shows({ transport: "polling", stable: false });
  });

  test("follows the state, and gives way to a stream that works", async (t) => {
    const server = await ScriptedServer.start(t);
    server.refusal = 503;
    server.answers["/api/system-status"] = json(processing());
    const watched = new Watched(t, server, { settled: 100, retryBesidePolling: 250 });
    await watched.shows({ transport: "polling", stable: false });
    server.answers["/api/system-status"] = json(processing({ stable: true }));
    await watched.shows({ transport: "polling", stable: true });
    await watched.meets(() => watched.stream.snapshot.note !== null);
    server.refusal = null;
    const open = await server.next();
    open.says(false);
    await watched.shows({ transport: "live", stable: false });
    await watched.shows({ note: null });
    const polls = server.asked.length;
    open.says(true);
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.equal(server.asked.length, polls, "a stream that has proven itself ends the polling");
  });

  test("knows nothing when the answer is not the state, or none", async (t) => {
    const server = await ScriptedServer.start(t);
    server.refusal = 503;
    server.answers["/api/system-status"] = json(processing());
    const watched = new Watched(t, server);
    await watched.shows({ transport: "polling", stable: false });
    server.answers["/api/system-status"] = json({ error: "The state is not known yet." });
    await watched.shows({ stable: null, error: CONNECTION_ERROR });
    server.answers["/api/system-status"] = () => {}; // never
    await watched.meets(() => server.asked.filter((path) => path === "/api/system-status").length > 4);
    assert.equal(watched.stream.snapshot.stable, null);
  });

  test("asks seldom, and ever more seldom", async (t) => {
    const server = await ScriptedServer.start(t);
    server.refusal = 503;
    /** @type {number[]} */
    const moments = [];
    const enough = new Promise((resolve) => {
      server.answers["/api/system-status"] = (response) => {
        json(processing())(response);
        if (moments.push(performance.now()) === 5) resolve(null);
      };
    });
    new Watched(t, server, { pollFirst: 40, pollGrowth: 2, pollMost: 160, retryBesidePolling: 10_000, pollAfterFailures: 1 });
    await enough;
    // the first answers may come close together, when the polling and the stream find each other
    const pauses = moments.slice(2).map((moment, place) => moment - Number(moments[place + 1]));
    assert.ok(Number(pauses.at(-1)) >= 0.75 * 80, `pauses: ${pauses}`);
  });
});
