import { BadFrame, parseMessage, parseObject, parseStatus } from "./frames.js";
import { Poll } from "./poll.js";
import { BAD_FRAME, NOTHING_YET, lost } from "./snapshot.js";
import { TIMING, backoff } from "./timing.js";

const HELD_BACK = "No live stream gets through (a buffering proxy, or a full house?): the state is asked for instead.";

/**
 * One server, followed for ever: an EventSource, and polling while no stream gets through.
 * Trouble has one way out, `#retry`: the same for a refused connection, a stream that ended, a silent one and a `bye`.
 */
export class Stream {
  /** @type {EventSource | null} */ #source = null;
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */ #timers = new Map();
  #failures = 0;
  #heardAt = 0;
  #pollWorks = false;
  #poll;

  /**
   * @param {string | URL} base  the server's root, with a slash at its end
   * @param {(snapshot: import("./snapshot.js").Snapshot) => void} changed
   * @param {import("./timing.js").Timing} [timing]
   */
  constructor(base, changed, timing = TIMING) {
    this.url = new URL("api/system-status/live", base);
    this.changed = changed;
    this.timing = timing;
    /** @type {import("./snapshot.js").Snapshot} */
    this.snapshot = NOTHING_YET;
    this.#poll = new Poll(new URL("api/system-status", base), (status) => this.#polled(status), () => this.#unpolled(), timing);
  }

  start() {
    this.#after("poll", this.timing.pollAfter, () => this.#poll.start());
    this.#lookForSleep();
    this.#open();
  }

  stop() {
    this.#source?.close();
    this.#source = null;
    this.#poll.stop();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** The user is back, or the network is: whatever is wrong is tried again now. */
  wake() {
    const asleep = Date.now() - this.#heardAt > this.timing.silence;
    if (this.snapshot.transport === "connecting" || (this.snapshot.transport === "live" && !asleep)) return;
    if (asleep && !this.#pollWorks) this.#unknown();
    this.#open();
  }

  /** Timers stand still in a sleeping machine, and no event says that it woke: what it shows may be hours old. */
  #lookForSleep() {
    this.#after("sleep", this.timing.sleep, () => {
      if (this.snapshot.transport === "live") this.wake();
      this.#lookForSleep();
    });
  }

  #open() {
    this.#source?.close();
    this.#cancel("settled", "retry");
    const source = new EventSource(this.url);
    this.#source = source;
    source.onopen = () => this.#tell({ error: null });
    source.onmessage = ({ data }) => this.#heard(() => this.#message(parseMessage(data)));
    source.onerror = () => this.#ended(source);
    this.#on("status", (data) => {
      const status = parseStatus(data);
      this.#state({ stable: status.stable, status });
    });
    this.#on("heartbeat", (data) => this.#heartbeat(parseObject(data)));
    this.#on("connection", (data) => {
      const { status } = this.snapshot;
      if (status) this.#tell({ status: { ...status, listener: String(parseObject(data).listener) } });
    });
    this.#on("bye", (data) => this.#bye(Number(parseObject(data).retry)));
    this.#awaitFrame();
  }

  /** @param {string} name @param {(data: string) => void} handle */
  #on(name, handle) {
    this.#source?.addEventListener(name, (event) => this.#heard(() => handle(event.data)));
  }

  /** @param {() => void} handle */
  #heard(handle) {
    this.#heardAt = Date.now();
    this.#awaitFrame();
    try {
      handle();
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.#tell({ error: BAD_FRAME });
    }
  }

  #awaitFrame() {
    this.#after("silence", this.timing.silence, () => this.#retry(backoff(++this.#failures, this.timing)));
  }

  /** @param {boolean | null} stable */
  #message(stable) {
    const { status } = this.snapshot;
    this.#state({ stable, status: status?.stable === stable ? status : null }); // the rich state follows
  }

  /** @param {Partial<import("./snapshot.js").Snapshot>} news */
  #state(news) {
    this.#cancel("poll");
    if (!this.#timers.has("settled")) this.#after("settled", this.timing.settled, () => this.#settled());
    this.#tell({ ...news, loading: false, error: null, transport: "live", provenAt: this.#heardAt });
  }

  #settled() {
    this.#failures = 0;
    this.#pollWorks = false;
    this.#poll.stop();
    if (this.snapshot.note) this.#tell({ note: null });
  }

  /** @param {Record<string, unknown>} beat */
  #heartbeat({ build, version }) {
    const missed = typeof version === "number" && !this.#knows(version);
    this.#tell({
      build: typeof build === "string" ? build : this.snapshot.build,
      provenAt: missed ? this.snapshot.provenAt : this.#heardAt,
    });
    if (missed) this.#after("catchUp", this.timing.catchUp, () => this.#knows(version) || this.#open());
  }

  /** @param {number} version */
  #knows(version) {
    return (this.snapshot.status?.version ?? version) >= version;
  }

  /** @param {EventSource} source */
  #ended(source) {
    if (source !== this.#source) return;
    this.#failures += 1;
    const ours = source.readyState === EventSource.CLOSED || this.#pollWorks;
    if (ours) return this.#retry(this.#pollWorks ? this.timing.retryBesidePolling : backoff(this.#failures, this.timing));
    this.#cancel("settled");
    this.#awaitFrame(); // the browser reconnects by itself, after the server's own `retry:`
    this.#unproven();
  }

  /** @param {number} retry  ms that the server asks us to stay away, so that not everybody comes back at once */
  #bye(retry) {
    const wait = retry >= 0 ? Math.min(retry, this.timing.byeMost) : backoff(1, this.timing);
    this.#retry(wait);
  }

  /** @param {number} wait  ms */
  #retry(wait) {
    this.#source?.close();
    this.#source = null;
    this.#cancel("settled", "silence", "catchUp");
    this.#after("retry", wait, () => this.#open());
    this.#unproven();
  }

  #unproven() {
    if (this.#failures >= this.timing.pollAfterFailures) this.#poll.start();
    else if (!this.#poll.running && !this.#timers.has("poll")) {
      this.#after("poll", this.timing.pollAfter, () => this.#poll.start());
    }
    if (!this.#pollWorks) return this.#unknown();
    this.#poll.now(); // the last answer may be as old as the stream that just ended
    this.#tell({ transport: "polling", note: HELD_BACK });
  }

  /** @param {import("./frames.js").Status} status */
  #polled(status) {
    const back = this.#failures > 0 && !this.#pollWorks;
    this.#pollWorks = true;
    if (this.snapshot.transport === "live") return;
    this.#tell({ stable: status.stable, status, loading: false, error: null, transport: "polling", provenAt: Date.now() });
    if (back) this.#open(); // the server answers again: so may its stream
  }

  #unpolled() {
    this.#pollWorks = false;
    if (this.snapshot.transport !== "live") this.#unknown();
  }

  #unknown() {
    const offline = globalThis.navigator?.onLine === false;
    this.#tell(lost(this.snapshot, offline ? "offline" : "reconnecting"));
  }

  /** @param {Partial<import("./snapshot.js").Snapshot>} news */
  #tell(news) {
    this.snapshot = { ...this.snapshot, ...news, beat: this.snapshot.beat + 1 };
    this.changed(this.snapshot);
  }

  /** @param {string} name @param {number} wait @param {() => void} act */
  #after(name, wait, act) {
    this.#cancel(name);
    this.#timers.set(name, setTimeout(() => (this.#timers.delete(name), act()), wait));
  }

  /** @param {...string} names */
  #cancel(...names) {
    for (const name of names) {
      clearTimeout(this.#timers.get(name));
      this.#timers.delete(name);
    }
  }
}
