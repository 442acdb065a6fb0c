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
 *
 * @typedef {(snapshot: import("./snapshot.js").Snapshot) => void} Deliver
 */

/** @param {string} base @param {Deliver} deliver @returns {Following} */
export function follow(base, deliver) {
  const worker = workerFor(base);
  return worker ? followWorker(worker, base, deliver, () => followTabs(base, deliver)) : followTabs(base, deliver);
}

/** @param {string} base @param {Deliver} deliver @returns {Following} */
function followTabs(base, deliver) {
  if (typeof BroadcastChannel === "undefined") return followAlone(base, deliver);
  if (globalThis.navigator?.locks) return followLeader(base, deliver, electByLock);
  return hasStorage() ? followLeader(base, deliver, electByLease) : followAlone(base, deliver);
}

/** @param {string} base @param {Deliver} deliver @returns {Following} */
function followAlone(base, deliver) {
  const stream = new Stream(base, deliver);
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
