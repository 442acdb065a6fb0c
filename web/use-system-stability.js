import { useSyncExternalStore } from "react";
import { HOME, live } from "./live.js";
import { NOTHING_YET } from "./snapshot.js";

/**
 * The system's stability, live, for React: `isStable` is null while it is not known, `loading` ends with the first message,
 * `error` is a sentence for people. Unmounting the last user closes the connection.
 *
 * @typedef {object} SystemStability
 * @property {boolean | null} isStable
 * @property {boolean} loading
 * @property {string | null} error
 */

/** @type {WeakMap<object, SystemStability>} */
const views = new WeakMap();

/** @param {string | URL} [server]  the stability server's root; without one, the server that this module came from */
export function useSystemStability(server = HOME) {
  const store = live(server);
  return useSyncExternalStore(
    store.subscribe,
    () => view(store, store.snapshot),
    () => START,
  );
}

/**
 * The same object while nothing changed that a component sees: a heartbeat renders nothing.
 * @param {object} store @param {import("./snapshot.js").Snapshot} snapshot @returns {SystemStability}
 */
function view(store, { stable: isStable, loading, error }) {
  const last = views.get(store);
  if (last && last.isStable === isStable && last.loading === loading && last.error === error) return last;
  const next = { isStable, loading, error };
  views.set(store, next);
  return next;
}

const START = view({}, NOTHING_YET);
