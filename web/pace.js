import { NOTHING_YET, lost } from "./snapshot.js";
import { Rows } from "./rows.js";
import { follow } from "./tabs.js";
import { TIMING } from "./timing.js";

/**
 * How often a page wants news, in milliseconds: each time the stream is opened for one complete snapshot, and closed.
 * LIVE follows it, OFF asks for nothing more.
 */
export const LIVE = 0;
export const OFF = Infinity;

const MOST = 25_000; // ms until a look without a whole answer ends: time enough to ask where no stream gets through
const TRUSTED = 3; // times its interval: what is older is not known

/** Looks at a server from time to time. Between two looks no connection is open, and what was seen grows old. */
export class Looks {
  /** @type {import("./tabs.js").Following | null} */ #following = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {import("./snapshot.js").Snapshot | null} */ #seen = null;
  #rows = new Rows();
  #shown = NOTHING_YET;
  #begunAt = -Infinity;

  /**
   * @param {string} base @param {number} every  ms @param {() => string[]} topics
   * @param {(snapshot: import("./snapshot.js").Snapshot, news: import("./rows.js").News) => void} show
   */
  constructor(base, every, topics, show) {
    this.base = base;
    this.every = every;
    this.topics = topics;
    this.show = show;
  }

  /** Goes on from what is known already, or looks at once. @param {import("./snapshot.js").Snapshot} known */
  start(known) {
    this.#shown = known;
    if (known.status === null) return this.look();
    this.#begunAt = known.provenAt ?? Date.now();
    this.#tell(known);
  }

  stop() {
    this.#following?.stop();
    this.#following = null;
    clearTimeout(this.#timer);
  }

  /** Somebody is back: perhaps a look is due. */
  wake() {
    if (!this.#following) this.#tick();
  }

  look() {
    this.stop();
    this.#begunAt = Date.now();
    this.#seen = null;
    this.#rows = new Rows();
    this.#timer = setTimeout(() => this.#end(), MOST);
    this.#following = follow(this.base, this.topics(), (snapshot, news) => this.#heard(snapshot, news));
  }

  /** @param {import("./snapshot.js").Snapshot} snapshot @param {import("./rows.js").News} news */
  #heard(snapshot, news) {
    this.#rows.apply(news);
    if (snapshot.status) this.#seen = snapshot;
    const whole = isWhole(snapshot, this.topics());
    if (whole) queueMicrotask(() => this.#following && this.#end()); // the first word may come before it is ours to close
  }

  #end() {
    this.stop();
    const seen = this.#seen;
    if (seen) this.#tell({ ...seen, looks: this.#shown.looks + 1 }, this.#rows.all());
    else this.#forget();
  }

  #forget() {
    this.#tell(lost(this.#shown, "paused"));
  }

  /** @param {import("./snapshot.js").Snapshot} snapshot @param {import("./rows.js").News} [news] */
  #tell(snapshot, news = {}) {
    this.#shown = { ...snapshot, transport: "paused", note: null, error: null };
    this.show(this.#shown, news);
    this.#tick();
  }

  /** In steps, since timers stand still in a sleeping machine. */
  #tick() {
    clearTimeout(this.#timer);
    const now = Date.now();
    const [due, old] = [this.#begunAt + this.every, this.#oldAt()];
    if (due <= now) return this.look();
    if (old <= now) return this.#forget();
    const next = Math.min(due, old, now + TIMING.sleep);
    this.#timer = setTimeout(() => this.#tick(), next - now);
  }

  /** What nobody will ask for again is as old as a stream that fell silent. */
  #oldAt() {
    if (this.#shown.status === null) return Infinity;
    return (this.#shown.provenAt ?? this.#begunAt) + (this.every === OFF ? TIMING.silence : TRUSTED * this.every);
  }
}

/** @param {import("./snapshot.js").Snapshot} snapshot @param {string[]} topics */
function isWhole({ transport, status, topics: standing }, topics) {
  if (status === null) return false;
  return transport === "polling" || (transport === "live" && topics.every((topic) => (standing[topic] ?? "awaited") !== "awaited"));
}
