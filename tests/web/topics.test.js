import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Feed } from "../../web/feed.js";
import { ScriptedServer, json, status } from "./scripted-server.js";
import { Watched } from "./watched.js";

const TIMEOUT = { timeout: 10_000 };
const LIVE = "/api/live?topics=stability,things";

/** @param {import("./scripted-server.js").Open} open @param {string} epoch @param {Record<string, number>} things */
function tellAll(open, epoch, things) {
  open.tells("hello", { epoch, topics: ["stability", "things"], time: new Date(Date.now() + 60_000).toISOString() });
  open.says(true);
  open.tells("status", { stable: true, state: "stable", version: 0, sources: {} });
  let version = 0;
  for (const [key, n] of Object.entries(things)) open.send(row(epoch, (version += 1), key, { n }));
  open.send(`event: ready\nid: ${epoch}-${version}\ndata: {"version":${version}}\n\n`);
}

/** @param {string} epoch @param {number} version @param {string} key @param {object | null} told */
const row = (epoch, version, key, told) =>
  `event: change\nid: ${epoch}-${version}\ndata: ${JSON.stringify({ topic: "things", key, version, row: told })}\n\n`;

/** @param {Watched} watched @param {string} standing */
const stands = (watched, standing) => watched.meets(() => watched.stream.snapshot.topics.things === standing);

/** @param {Watched} watched */
const things = (watched) => Object.fromEntries([...watched.stream.rows.of("things")].map(([key, { n }]) => [key, n]));

/** @param {import("node:test").TestContext} t @param {Partial<import("../../web/timing.js").Timing>} [timing] */
async function begun(t, timing) {
  const server = await ScriptedServer.start(t);
  const watched = new Watched(t, server, timing);
  const badge = await server.next();
  badge.says(true);
  await watched.shows({ stable: true });
  return { server, watched, badge };
}

describe("topics beside the state", TIMEOUT, () => {
  test("take one stream, which replaces the badge's, and the state stays", async (t) => {
    const { server, watched, badge } = await begun(t);
    watched.stream.want(["things"]);
    const open = await server.next();
    await badge.closed;
    assert.equal(watched.stream.snapshot.stable, true);
    tellAll(open, "a", { 1: 10 });
    const { skew, rowsAt } = await stands(watched, "told");
    assert.deepEqual(things(watched), { 1: 10 });
    assert.ok(Math.abs(skew - 60_000) < 5_000);
    assert.ok(Date.now() - Number(rowsAt) < 5_000);
    assert.deepEqual(server.asked, ["/api/system-status/live", LIVE]);
  });

  test("that are known already need no other stream", async (t) => {
    const { server, watched } = await begun(t);
    watched.stream.want(["things"]);
    tellAll(await server.next(), "a", { 1: 10 });
    await stands(watched, "told");
    watched.stream.want(["things"]);
    assert.equal(server.asked.length, 2);
  });

  test("go on after a break where they were", async (t) => {
    const { server, watched } = await begun(t);
    watched.stream.want(["things"]);
    const first = await server.next();
    tellAll(first, "a", { 1: 10, 2: 20 });
    await stands(watched, "told");
    first.tells("bye", { retry: 20 });
    const second = await server.next();
    assert.equal(server.asked.at(-1), `${LIVE}&last_event_id=a-2`);
    await watched.shows({ stable: null });
    second.tells("hello", { epoch: "a", topics: ["stability", "things"] });
    second.send(row("a", 3, "1", null));
    second.send('event: ready\nid: a-3\ndata: {"version":3}\n\n');
    await watched.meets(() => watched.stream.rows.of("things").size === 1);
    assert.deepEqual(things(watched), { 2: 20 });
    const { transport, status } = await watched.shows({ stable: true }); // nothing newer was told of the state either
    assert.deepEqual([transport, status?.version], ["live", 0]);
  });

  test("begin anew where half of the state was told before the break", async (t) => {
    const { server, watched } = await begun(t);
    watched.stream.want(["things"]);
    const first = await server.next();
    tellAll(first, "a", { 1: 10 });
    await stands(watched, "told");
    first.says(false);
    await watched.shows({ stable: false, status: null });
    first.tells("bye", { retry: 20 });
    const second = await server.next();
    second.tells("hello", { epoch: "a", topics: ["stability", "things"] });
    second.send('event: ready\nid: a-3\ndata: {"version":3}\n\n');
    tellAll(await server.next(), "a", { 1: 10 });
    assert.equal(server.asked.at(-1), LIVE);
    await watched.shows({ stable: true, transport: "live" });
  });

  test("begin anew with another life of the server", async (t) => {
    const { server, watched } = await begun(t);
    watched.stream.want(["things"]);
    const first = await server.next();
    tellAll(first, "a", { 1: 10, 2: 20 });
    await stands(watched, "told");
    first.breaks();
    const second = await server.next();
    tellAll(second, "b", { 3: 30 });
    await watched.meets(() => watched.stream.rows.of("things").has("3"));
    assert.deepEqual(things(watched), { 3: 30 });
  });

  test("that a server lacks are left out, and told to be absent", async (t) => {
    const { server, watched } = await begun(t);
    server.refusals = { [LIVE]: 400 };
    server.answers["/api/topics"] = json({ topics: ["stability"] });
    watched.stream.want(["things"]);
    const open = await server.next();
    open.says(false);
    const { stable, transport, topics } = await stands(watched, "absent");
    assert.deepEqual([stable, transport, topics], [true, "live", { things: "absent" }]);
    await watched.shows({ stable: false });
    assert.deepEqual(server.asked.slice(1), [LIVE, "/api/topics", "/api/system-status/live"]);
  });

  test("that a server lacks leave the others alone", async (t) => {
    const { server, watched } = await begun(t);
    server.refusals = { "/api/live?topics=stability,others,things": 400 };
    server.answers["/api/topics"] = json({ topics: ["stability", "things"] });
    watched.stream.want(["things", "others"]);
    tellAll(await server.next(), "a", { 1: 10 });
    const { topics } = await stands(watched, "told");
    assert.deepEqual(topics, { things: "told", others: "absent" });
  });

  test("that a server lacks leave alone what is asked for while it is asked what it has", async (t) => {
    const { server, watched } = await begun(t);
    server.refusals = { "/api/live?topics=stability,others": 400, "/api/live?topics=stability,others,things": 400 };
    const held = /** @type {import("node:http").ServerResponse[]} */ ([]);
    server.answers["/api/topics"] = (response) => {
      held.push(response);
      if (server.asked.filter((path) => path === "/api/topics").length === 1) watched.stream.want(["things"]);
      else for (const each of held.splice(0)) json({ topics: ["stability", "things"] })(each);
    };
    watched.stream.want(["others"]);
    tellAll(await server.next(), "a", { 1: 10 });
    const { topics } = await stands(watched, "told");
    assert.deepEqual(topics, { things: "told", others: "absent" });
  });

  test("of a server that knows of no topics at all are absent", async (t) => {
    const { server, watched } = await begun(t);
    server.refusals = { [LIVE]: 404 };
    watched.stream.want(["things"]);
    (await server.next()).says(true);
    await stands(watched, "absent");
  });

  test("that want a token leave the badge its own stream, and are asked for again", async (t) => {
    const { server, watched } = await begun(t, { retryBesidePolling: 60 });
    server.refusals = { [LIVE]: 401 };
    server.answers["/api/topics"] = json({ topics: ["stability", "things"] });
    watched.stream.want(["things"]);
    (await server.next()).says(true);
    const { stable, transport } = await stands(watched, "refused");
    assert.deepEqual([stable, transport], [true, "live"]);
    server.refusals = {};
    tellAll(await server.next(), "a", { 1: 10 });
    await stands(watched, "told");
  });

  test("of a server that is away are waited for like its state", async (t) => {
    const { server, watched } = await begun(t);
    server.refusals = { [LIVE]: 502 };
    server.answers["/api/topics"] = status(502);
    watched.stream.want(["things"]);
    await watched.shows({ transport: "reconnecting" });
    server.refusals = {};
    tellAll(await server.next(), "a", { 1: 10 });
    await stands(watched, "told");
  });

  test("are proven by heartbeats, but not while the server itself hears nothing", async (t) => {
    const { server, watched } = await begun(t);
    watched.stream.want(["things"]);
    const open = await server.next();
    tellAll(open, "a", { 1: 10 });
    const { rowsAt } = await stands(watched, "told");
    open.tells("connection", { listener: "lost", since: "2026-01-01T00:00:00Z" });
    open.tells("heartbeat", { version: 0, build: "b1" });
    assert.equal((await watched.shows({ build: "b1" })).rowsAt, rowsAt);
    open.tells("connection", { listener: "live", since: "2026-01-01T00:00:00Z" });
    open.tells("heartbeat", { version: 0, build: "b2" });
    assert.ok(Number((await watched.shows({ build: "b2" })).rowsAt) >= Number(rowsAt));
  });

  test("may be one that the server cannot read, whatever it hears: its rows are as old as it says", async (t) => {
    const { server, watched } = await begun(t);
    const views = /** @type {import("../../web/feed.js").View[]} */ ([]);
    const store = { base: "http://localhost/", rows: watched.stream.rows, subscribe: () => () => {}, get snapshot() { return watched.stream.snapshot; } };
    const ask = { path: "api/things", parse: () => ({}), busy: () => false };
    const feed = new Feed(/** @type {any} */ (store), "things", ask, (view) => views.push(view));
    const shown = () => (feed.start(), feed.stop(), feed.view);
    watched.stream.want(["things"]);
    const open = await server.next();
    tellAll(open, "a", { 1: 10 });
    const { skew } = await stands(watched, "told");
    assert.equal(shown().way, "live");
    const since = "2026-01-01T00:00:00.000Z";
    open.tells("connection", { listener: "live", since, unread: { things: since } });
    await watched.meets(() => "things" in watched.stream.snapshot.unread);
    assert.deepEqual([shown().way, shown().asOf, [...shown().rows.keys()]], ["lost", Date.parse(since) - skew, ["1"]]);
    assert.equal(watched.stream.snapshot.stable, true);
    open.tells("connection", { listener: "live", since });
    await watched.meets(() => !("things" in watched.stream.snapshot.unread));
    assert.equal(shown().way, "live");
  });

  for (const broken of ['{"epoch":1}', "[]", "{"]) {
    test(`take ${broken} for a broken frame`, async (t) => {
      const { server, watched } = await begun(t);
      watched.stream.want(["things"]);
      const open = await server.next();
      open.send(`event: hello\ndata: ${broken}\n\n`);
      open.send(`event: change\ndata: {"topic":"things","key":"1","row":7}\n\n`);
      await watched.meets(() => watched.stream.snapshot.error !== null);
    });
  }
});
