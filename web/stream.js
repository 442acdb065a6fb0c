import { BadFrame, moment, parseChange, parseConnection, parseHello, parseMessage, parseObject, parseStatus } from "./frames.js";
import { Poll } from "./poll.js";
import { Telling } from "./rows.js";
import { BAD_FRAME, NOTHING_YET, lost } from "./snapshot.js";
import { TIMING, backoff } from "./timing.js";
import { Topics } from "./topics.js";

const HELD_BACK = "No live stream gets through (a buffering proxy, or a full house?): the state is asked for instead.";

/**
 * One server, followed for ever: an EventSource, and polling while no stream gets through. The badge has a stream of its own,
 * which is open to everybody; with topics beside it there is one stream for all of them.
 * Trouble has one way out, `#retry`: the same for a refused connection, a stream that ended, a silent one and a `bye`.
 */
export class Stream {
  /** @type {EventSource | null} */ #source = null;
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */ #timers = new Map();
  #failures = 0;
  #heardAt = 0;
  #pollWorks = false;
  /** What the stream told last. @type {Pick<import("./snapshot.js").Snapshot, "stable" | "status">} */ #told = { stable: null, status: null };
  #topics;
  #telling = new Telling((news) => this.#tell({ rowsAt: this.#heardAt, topics: this.#topics.standing(this.#telling.topics) }, news));
  #poll;

  /**
   * @param {string | URL} base  the server's root, with a slash at its end
   * @param {(snapshot: import("./snapshot.js").Snapshot, news: import("./rows.js").News) => void} changed
   * @param {import("./timing.js").Timing} [timing]
   */
  constructor(base, changed, timing = TIMING) {
    this.changed = changed;
    this.timing = timing;
    this.#topics = new Topics(base);
    /** @type {import("./snapshot.js").Snapshot} */
    this.snapshot = NOTHING_YET;
    this.#poll = new Poll(new URL("api/system-status", base), (status) => this.#polled(status), () => this.#unpolled(), timing);
  }

  /** What is known of the topics that were wanted. */
  get rows() {
    return this.#telling.rows;
  }

  /** Somebody shows these topics, which takes another stream if this one lacks any. @param {Iterable<string>} topics */
  want(topics) {
    if (!this.#topics.want(topics) || !this.#source) return;
    this.#open();
    this.#tell({ topics: this.#topics.standing(this.#telling.topics) });
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
    this.#telling.stop();
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

  #open(asked = this.#topics.ask()) {
    this.#source?.close();
    this.#cancel("settled", "retry", "topics");
    let opened = false;
    const source = new EventSource(this.#topics.url(this.#telling.cursor(asked)));
    this.#source = source;
    source.onopen = () => {
      opened = true;
      this.#tell({ error: null, topics: this.#topics.standing(this.#telling.topics) });
    };
    source.onmessage = ({ data }) => this.#heard(() => this.#message(parseMessage(data)));
    source.onerror = () => {
      const refused = source.readyState === EventSource.CLOSED && !opened && asked.length > 0;
      if (refused && source === this.#source) void this.#refused(source, asked);
      else this.#ended(source);
    };
    this.#on("status", (data) => {
      const status = parseStatus(data);
      this.#state({ stable: status.stable, status });
    });
    this.#on("heartbeat", (data) => this.#heartbeat(parseObject(data)));
    this.#on("connection", (data) => {
      const { listener, unread } = parseConnection(data);
      const { status } = this.snapshot;
      this.#tell({ listener, unread, ...(status && { status: { ...status, listener } }) });
    });
    this.#on("hello", (data) => {
      const hello = parseHello(data);
      if (hello.time) this.#tell({ skew: hello.time - this.#heardAt });
      this.#telling.hello(hello, asked);
    });
    this.#on("change", (data, id) => this.#telling.change(parseChange(data), id));
    this.#on("ready", (_data, id) => this.#ready(id));
    this.#on("reset", () => this.#telling.reset());
    this.#on("bye", (data) => this.#bye(Number(parseObject(data).retry)));
    this.#awaitFrame();
  }

  /** @param {string} name @param {(data: string, id: string) => void} handle */
  #on(name, handle) {
    this.#source?.addEventListener(name, (event) => this.#heard(() => handle(event.data, event.lastEventId)));
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

  /** Where a stream went on and told no state, the last one still holds; half of one is not enough. @param {string} id */
  #ready(id) {
    this.#telling.ready(id);
    if (this.snapshot.transport === "live") return;
    if (this.#told.status) return this.#state(this.#told);
    this.#telling.forget();
    this.#open();
  }

  /** @param {Pick<import("./snapshot.js").Snapshot, "stable" | "status">} news */
  #state(news) {
    this.#told = news;
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
  #heartbeat({ build, version, time }) {
    const missed = typeof version === "number" && !this.#knows(version);
    this.#tell({
      build: typeof build === "string" ? build : this.snapshot.build,
      provenAt: missed ? this.snapshot.provenAt : this.#heardAt,
      rowsAt: this.snapshot.listener === "lost" || this.#telling.topics.length === 0 ? this.snapshot.rowsAt : this.#heardAt,
      skew: (moment(time) ?? this.#heardAt + this.snapshot.skew) - this.#heardAt,
    });
    if (missed) this.#after("catchUp", this.timing.catchUp, () => this.#knows(version) || this.#open());
  }

  /** @param {number} version */
  #knows(version) {
    return (this.snapshot.status?.version ?? version) >= version;
  }

  /**
   * A browser does not say why a stream was refused. A server that lacks a topic names those it has; of one that has them all
   * there is still the badge's stream, and rows are asked for again later.
   * @param {EventSource} source @param {string[]} asked
   */
  async #refused(source, asked) {
    const without = await this.#topics.look(asked, this.timing.pollTimeout);
    if (source !== this.#source) return;
    if (!without) return this.#ended(source);
    this.#topics.leave(...without);
    this.#open(this.#topics.rest());
    this.#after("topics", this.timing.retryBesidePolling, () => this.#open());
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
    this.#cancel("settled", "silence", "catchUp", "topics");
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

  /** @param {Partial<import("./snapshot.js").Snapshot>} news @param {import("./rows.js").News} [rows] */
  #tell(news, rows = {}) {
    this.snapshot = { ...this.snapshot, ...news, beat: this.snapshot.beat + 1 };
    this.changed(this.snapshot, rows);
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
