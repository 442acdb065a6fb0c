/**
 * What a browser knows about one server at one moment: a value that is replaced, never changed, and that travels between tabs.
 *
 * @typedef {import("./frames.js").Status} Status
 * @typedef {"connecting" | "live" | "reconnecting" | "polling" | "offline" | "paused"} Transport
 * @typedef {"awaited" | "told" | "absent" | "refused"} Standing  of a topic: all its rows are known, the server has none
 *   such, or it did not let us have them
 *
 * @typedef {object} Snapshot
 * @property {boolean | null} stable  null: not known
 * @property {boolean} loading  true until the first state or the first failure
 * @property {string | null} error
 * @property {Status | null} status  the rich state, while it is known
 * @property {Transport} transport  how the state travels, apart from what it is
 * @property {string | null} note  a sentence about the transport worth telling
 * @property {string | null} listener  how the server hears of changes: live, polling or lost
 * @property {Readonly<Record<string, number | null>>} unread  topics that the server cannot read, and as of when their rows are (ms, by its clock)
 * @property {string | null} build  the server's build, as its heartbeat names it
 * @property {number | null} provenAt  when something last proved the state, by this browser's clock (ms)
 * @property {Readonly<Record<string, Standing>>} topics  those that somebody wants beside the state
 * @property {number | null} rowsAt  when something last proved their rows, by this browser's clock (ms)
 * @property {number} skew  ms that the server's clock is ahead of this browser's
 * @property {number} beat  grows with everything heard
 * @property {number} looks  how often a page that does not follow the server has looked at it
 */

export const BAD_FRAME = "Error processing status update.";
export const CONNECTION_ERROR = "Connection error. Status updates may be unavailable.";

/** @type {Readonly<Snapshot>} */
export const NOTHING_YET = Object.freeze({
  stable: null,
  loading: true,
  error: null,
  status: null,
  transport: "connecting",
  note: null,
  listener: null,
  unread: Object.freeze({}),
  build: null,
  provenAt: null,
  topics: Object.freeze({}),
  rowsAt: null,
  skew: 0,
  beat: 0,
  looks: 0,
});

/**
 * The same snapshot after its delivery can no longer be proven: old news is not news.
 * @param {Snapshot} snapshot @param {Transport} transport @returns {Snapshot}
 */
export function lost(snapshot, transport) {
  return { ...snapshot, stable: null, loading: false, error: CONNECTION_ERROR, status: null, transport };
}

/** Whether it still shows what a page saw that does not follow the server. @param {Snapshot} snapshot */
export function isHeld({ transport, status }) {
  return transport === "paused" && status !== null;
}

/** @param {Snapshot} snapshot @returns {"loading" | "stable" | "processing" | "unknown"} */
export function stateOf({ stable, loading }) {
  if (loading) return "loading";
  return stable === null ? "unknown" : stable ? "stable" : "processing";
}
