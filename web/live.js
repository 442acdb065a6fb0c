import { LIVE, Looks } from "./pace.js";
import { Rows } from "./rows.js";
import { NOTHING_YET, lost } from "./snapshot.js";
import { TIMING } from "./timing.js";
import { follow } from "./tabs.js";

const HIDDEN = 60_000; // ms that a hidden tab goes on listening
const UNHEARD = TIMING.silence + 5_000; // ms after which whoever holds the stream for us must be gone

/** Everything on this page that shows the server at `base` shares this one object. */
class Live {
  snapshot = NOTHING_YET;
  rows = new Rows();
  /** Each with the topic that it shows beside the state, if any. @type {Map<() => void, string | null>} */ #listeners = new Map();
  #begun = false;
  /** @type {import("./tabs.js").Following | null} */ #following = null;
  /** Instead of following. @type {Looks | null} */ #looks = null;
  #every = LIVE;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #hidden;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #unheard;

  /** @param {string} base */
  constructor(base) {
    this.base = base;
  }

  /**
   * Calls `listener` after every change of `snapshot`, and of the rows of `topic` if one is named, until the function that is
   * returned is called. The connection lives as long as somebody listens.
   * @param {() => void} listener @param {string} [topic]
   */
  subscribe = (listener, topic) => {
    const entry = () => listener(); // the same function may listen twice
    const known = this.#topics;
    this.#listeners.set(entry, typeof topic === "string" ? topic : null);
    if (this.#listeners.size === 1) queueMicrotask(() => this.#begin()); // whoever comes with it shares its first connection
    else if (this.#topics.length > known.length) this.#following?.want(this.#topics);
    return () => {
      if (this.#listeners.delete(entry) && this.#listeners.size === 0) this.#end();
    };
  };

  /** How often news are wanted: LIVE, OFF, or the milliseconds between two looks. @param {number} every */
  pace(every) {
    if (every === this.#every) return;
    this.#every = every;
    if (!this.#begun) return;
    const known = this.snapshot;
    this.#rest();
    if (every === LIVE) this.#show(known.loading ? known : { ...lost(known, "connecting"), error: null });
    this.#follow(known);
  }

  /** News now, whatever the pace. */
  refresh() {
    if (this.#looks) this.#looks.look();
    else this.#wake();
  }

  get #topics() {
    return [...new Set(this.#listeners.values())].filter((topic) => topic !== null);
  }

  #begin() {
    if (this.#begun || this.#listeners.size === 0) return;
    this.#begun = true;
    this.#follow();
    document.addEventListener("visibilitychange", this.#visibility);
    addEventListener("online", this.#wake);
    addEventListener("pageshow", this.#wake);
    addEventListener("pagehide", this.#pause);
    this.#visibility();
  }

  #end() {
    if (!this.#begun) return;
    this.#begun = false;
    this.#pause();
    document.removeEventListener("visibilitychange", this.#visibility);
    removeEventListener("online", this.#wake);
    removeEventListener("pageshow", this.#wake);
    removeEventListener("pagehide", this.#pause);
    this.snapshot = NOTHING_YET;
    this.rows = new Rows();
  }

  /** @param {import("./snapshot.js").Snapshot} [known]  what a look may go on from */
  #follow(known = this.snapshot) {
    if (this.#every !== LIVE) {
      this.#looks = new Looks(this.base, this.#every, () => this.#topics, (snapshot, news) => this.#looked(snapshot, news));
      return this.#looks.start(known);
    }
    this.#expect();
    this.#following = follow(this.base, this.#topics, (snapshot, news) => this.#heard(snapshot, news));
  }

  /** @param {import("./snapshot.js").Snapshot} snapshot @param {import("./rows.js").News} news */
  #heard(snapshot, news) {
    this.rows.apply(news);
    if (snapshot.loading && !this.snapshot.loading) return; // a new leader that knows less than this page
    this.#expect();
    this.#show(snapshot);
  }

  /** @param {import("./snapshot.js").Snapshot} snapshot @param {import("./rows.js").News} news */
  #looked(snapshot, news) {
    this.rows.apply(news);
    this.#show(snapshot);
  }

  #expect() {
    clearTimeout(this.#unheard);
    this.#unheard = setTimeout(() => this.#abandoned(), UNHEARD);
  }

  /** The worker or the tab that shared its stream is gone without a word. */
  #abandoned() {
    this.#following?.stop();
    this.#show(lost(this.snapshot, "reconnecting"));
    this.#follow();
  }

  #visibility = () => {
    clearTimeout(this.#hidden);
    if (document.visibilityState === "hidden") this.#hidden = setTimeout(this.#pause, HIDDEN);
    else this.#wake();
  };

  #wake = () => {
    if (this.#looks ?? this.#following) (this.#looks ?? this.#following)?.wake();
    else if (document.visibilityState === "visible") this.#follow();
  };

  /** A page that nobody sees gives its place to others, and claims to know nothing. A leader that stops hands over at once. */
  #pause = () => {
    this.#rest();
    if (!this.snapshot.loading) this.#show({ ...lost(this.snapshot, "paused"), error: null });
  };

  #rest() {
    clearTimeout(this.#hidden);
    clearTimeout(this.#unheard);
    this.#following?.stop();
    this.#looks?.stop();
    this.#following = this.#looks = null;
  }

  /** @param {import("./snapshot.js").Snapshot} snapshot */
  #show(snapshot) {
    this.snapshot = snapshot;
    for (const listener of [...this.#listeners.keys()]) listener();
  }
}

/** @type {Map<string, Live>} */
const servers = new Map();

/** The server that these modules came from. */
export const HOME = new URL(".", import.meta.url).href;

/**
 * The live state of one server: `subscribe(listener)` and `snapshot`.
 * @param {string | URL} [server]  its root; without one, the server that these modules came from
 */
export function live(server = HOME) {
  const base = new URL(server, globalThis.location?.href ?? HOME).href.replace(/\/?$/, "/");
  const known = servers.get(base) ?? new Live(base);
  servers.set(base, known);
  return known;
}
