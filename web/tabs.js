import { electByLease, electByLock, followLeader } from "./tabs-leader.js";
import { followWorker, workerFor } from "./tabs-worker-client.js";
import { Stream } from "./stream.js";

/**
 * One connection for all tabs: HTTP/1.1 allows six per origin, and an open stream takes one of them.
 * A shared worker owns it where there are some; else the tabs elect a leader, by a lock or (plain HTTP) by a lease.
 *
 * @typedef {object} Following
 * @property {() => void} stop
 * @property {() => void} wake
 * @property {(topics: string[]) => void} want  all the topics that are wanted now
 *
 * @typedef {(snapshot: import("./snapshot.js").Snapshot, news: import("./rows.js").News) => void} Deliver
 */

/** @param {string} base @param {string[]} topics @param {Deliver} deliver @returns {Following} */
export function follow(base, topics, deliver) {
  const worker = workerFor(base);
  const tabs = (/** @type {string[]} */ wanted) => followTabs(base, wanted, deliver);
  return worker ? followWorker(worker, base, topics, deliver, tabs) : tabs(topics);
}

/** @param {string} base @param {string[]} topics @param {Deliver} deliver @returns {Following} */
function followTabs(base, topics, deliver) {
  if (typeof BroadcastChannel === "undefined") return followAlone(base, topics, deliver);
  if (globalThis.navigator?.locks) return followLeader(base, topics, deliver, electByLock);
  return hasStorage() ? followLeader(base, topics, deliver, electByLease) : followAlone(base, topics, deliver);
}

/** @param {string} base @param {string[]} topics @param {Deliver} deliver @returns {Following} */
function followAlone(base, topics, deliver) {
  const stream = new Stream(base, deliver);
  stream.want(topics);
  stream.start();
  return stream;
}

function hasStorage() {
  try {
    return Boolean(globalThis.localStorage);
  } catch {
    return false; // a sandboxed frame may not even look
  }
}
