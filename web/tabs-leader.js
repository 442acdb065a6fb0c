import { Stream } from "./stream.js";

/**
 * Tabs without a shared worker elect one of them; it alone holds the stream and tells the others on a BroadcastChannel.
 *
 * @typedef {(name: string, lead: () => () => void) => () => void} Elect
 *   calls `lead` once this tab is the leader and the function that `lead` returned once it is not; returns how to resign
 */

/**
 * @param {string} base @param {string[]} topics @param {import("./tabs.js").Deliver} deliver @param {Elect} elect
 * @returns {import("./tabs.js").Following}
 */
export function followLeader(base, topics, deliver, elect) {
  const name = `stability-2 ${base}`;
  const channel = new BroadcastChannel(name);
  /** @type {Stream | null} */
  let stream = null;

  channel.onmessage = ({ data }) => {
    if (!stream) return data.snapshot && heard(data);
    if (data.want && stream.snapshot.beat) channel.postMessage({ snapshot: stream.snapshot, news: stream.rows.all() });
    if (data.want) stream.want(data.want);
    if (data.wake) stream.wake();
  };
  /** @param {{ snapshot: import("./snapshot.js").Snapshot, news: import("./rows.js").News }} told */
  const heard = ({ snapshot, news }) => {
    if (topics.some((topic) => !snapshot.topics[topic])) channel.postMessage({ want: topics }); // it leads since a moment ago
    deliver(snapshot, news);
  };
  const resign = elect(name, () => {
    stream = new Stream(base, (snapshot, news) => {
      channel.postMessage({ snapshot, news });
      deliver(snapshot, news);
    });
    stream.want(topics);
    stream.start();
    return () => {
      stream?.stop();
      stream = null;
    };
  });
  channel.postMessage({ want: topics });
  return {
    stop: () => {
      resign();
      channel.close();
    },
    want: (more) => {
      topics = more;
      if (stream) stream.want(more);
      else channel.postMessage({ want: more });
    },
    wake: () => (stream ? stream.wake() : channel.postMessage({ wake: true })),
  };
}

/** The browser hands the lock on by itself when its tab goes, crashes or resigns. @type {Elect} */
export function electByLock(name, lead) {
  const standing = new AbortController();
  /** @type {Promise<void>} */
  const resigned = new Promise((resolve) => standing.signal.addEventListener("abort", () => resolve()));
  navigator.locks
    .request(name, { signal: standing.signal }, async () => {
      const end = lead();
      await resigned;
      end();
    })
    .catch((error) => {
      if (error.name !== "AbortError") throw error;
    });
  return () => standing.abort();
}

const LEASE = 10_000; // ms that a leader that fell silent is still waited for
const RENEWAL = 3_000;
const CONTEST = 200; // longer than another tab's write takes to be read here

/** A lease in localStorage, for origins without locks. Two leaders for a moment cost a connection, no truth. @type {Elect} */
export function electByLease(name, lead) {
  const me = Math.random().toString(36).slice(2);
  /** @type {(() => void) | null} */
  let end = null;
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;

  const holder = () => {
    const [id, until] = (localStorage.getItem(name) ?? "").split(" ");
    return id && Number(until) > Date.now() && Number(until) <= Date.now() + LEASE ? id : null;
  };
  const claim = () => localStorage.setItem(name, `${me} ${Date.now() + LEASE}`);
  const step = () => {
    const held = holder();
    if (held === null || held === me) claim();
    if (held === me) end ??= lead();
    else if (held !== null) retire();
    timer = setTimeout(step, held === null ? CONTEST : RENEWAL * (0.8 + Math.random() * 0.4));
  };
  const retire = () => {
    end?.();
    end = null;
  };
  const hurry = (/** @type {StorageEvent} */ event) => {
    if (event.key !== name || event.newValue !== null) return;
    clearTimeout(timer);
    timer = setTimeout(step, Math.random() * CONTEST); // the leader resigned
  };
  addEventListener("storage", hurry);
  step();
  return () => {
    removeEventListener("storage", hurry);
    clearTimeout(timer);
    retire();
    if (holder() === me) localStorage.removeItem(name);
  };
}
