import { BadFrame } from "./frames.js";
import { isHeld } from "./snapshot.js";
import { TIMING } from "./timing.js";

/**
 * One topic as a page shows it: by the stream, and where none gets through by asking.
 *
 * @typedef {import("./rows.js").Row} Row
 *
 * @typedef {object} Ask  how to ask for the rows
 * @property {string} path
 * @property {(text: string) => Record<string, Row>} parse
 * @property {(rows: ReadonlyMap<string, Row>) => boolean} busy  whether something goes on that is worth asking for more often
 * @property {(rows: ReadonlyMap<string, Row>, timing: import("./timing.js").Timing) => number} [wait]  ms until the next question, where it is another
 * @property {(text: string) => unknown} [beside]  what else the answer says
 *
 * @typedef {object} View
 * @property {"loading" | "live" | "polling" | "held" | "lost" | "absent" | "refused"} way  how the rows came; held: seen, and not followed; absent: the server has no such topic
 * @property {ReadonlyMap<string, Row>} rows
 * @property {number | null} asOf  when they were so, by this browser's clock (ms)
 * @property {number} skew  ms that the server's clock is ahead of it
 * @property {unknown} [beside]  what else the last answer said
 * @property {boolean} paused  nothing is to be asked for by itself
 * @property {number} looks  grows whenever a page that does not follow the server looked at it
 */
export class Feed {
  /** @type {View} */ view = { way: "loading", rows: new Map(), asOf: null, skew: 0, paused: false, looks: 0 };
  /** @type {() => void} */ #unfollow = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {AbortController | null} */ #asking = null;
  /** @type {{ rows: Map<string, Row>, beside: unknown, at: number } | null} */ #answer = null;
  #answered = false;
  #looks = 0;

  /**
   * @param {ReturnType<typeof import("./live.js").live>} store @param {string} topic @param {Ask} ask
   * @param {(view: View) => void} changed @param {import("./timing.js").Timing} [timing]
   */
  constructor(store, topic, ask, changed, timing = TIMING) {
    this.store = store;
    this.topic = topic;
    this.ask = ask;
    this.changed = changed;
    this.timing = timing;
  }

  start() {
    this.#unfollow = this.store.subscribe(() => this.#look(), this.topic);
    this.#look();
  }

  stop() {
    this.#unfollow();
    this.#rest();
  }

  #look() {
    const { transport, topics, looks } = this.store.snapshot;
    const streamed = transport === "live" && topics[this.topic] !== undefined;
    const [due, told] = [looks !== this.#looks, topics[this.topic] ?? "awaited"];
    this.#looks = looks;
    if (transport === "paused" && due && told === "awaited") this.#askOnce();
    else if (streamed || transport === "paused") this.#rest();
    else if (!this.#timer && !this.#asking) this.#later(this.timing.rowsBusy);
    if (streamed) this.#answered = false;
    this.#show();
  }

  /** A look for which no stream got through: one question. */
  #askOnce() {
    this.#rest();
    void this.#fetch();
  }

  #show() {
    const { snapshot, rows } = this.store;
    const told = snapshot.rowsAt ?? -Infinity;
    const newer = this.#answer && this.#answer.at > told ? this.#answer : null;
    const known = newer?.rows ?? rows.of(this.topic);
    const { skew, looks, transport } = snapshot;
    const asOf = newer?.at ?? this.#unreadSince() ?? snapshot.rowsAt;
    this.view = { way: this.#way(asOf), rows: known, asOf, skew, beside: newer?.beside, paused: transport === "paused", looks };
    this.changed(this.view);
  }

  /** As of when the rows are that the server cannot read any more, by this browser's clock (ms); null where it can, or never did. */
  #unreadSince() {
    const { unread, skew } = this.store.snapshot;
    const asOf = unread[this.topic] ?? null;
    return asOf === null ? null : asOf - skew;
  }

  /** @param {number | null} asOf @returns {View["way"]} */
  #way(asOf) {
    const { transport, topics, listener, unread } = this.store.snapshot;
    const standing = topics[this.topic];
    if (standing === "absent" || standing === "refused") return standing;
    if (transport === "paused") return isHeld(this.store.snapshot) && listener !== "lost" && (standing === "told" || this.#answered) ? "held" : "lost";
    if (transport === "live" && listener !== "lost" && standing !== "told") return "loading";
    if (transport === "live" && this.topic in unread) return "lost";
    if (transport === "live" && listener !== "lost") return "live";
    if (this.#answered) return "polling";
    return transport === "connecting" && asOf === null ? "loading" : "lost";
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#asking?.abort();
    this.#asking = null;
  }

  /** @param {number} wait */
  #later(wait) {
    this.#timer = setTimeout(() => void this.#fetch(), wait * (0.9 + Math.random() / 5)); // not all browsers in step
  }

  async #fetch() {
    this.#timer = undefined;
    const asking = new AbortController();
    this.#asking = asking;
    const answer = await this.#rows(AbortSignal.any([asking.signal, AbortSignal.timeout(this.timing.pollTimeout)]));
    if (asking.signal.aborted) return;
    this.#asking = null;
    this.#answered = answer !== null;
    if (answer) this.#answer = { ...answer, at: Date.now() };
    this.#show();
    if (this.store.snapshot.transport !== "paused") this.#later(this.#wait());
  }

  #wait() {
    const { ask, timing, view } = this;
    return ask.wait?.(view.rows, timing) ?? (ask.busy(view.rows) ? timing.rowsBusy : timing.rowsIdle);
  }

  /** @param {AbortSignal} signal @returns {Promise<{ rows: Map<string, Row>, beside: unknown } | null>} */
  async #rows(signal) {
    try {
      const answer = await fetch(new URL(this.ask.path, this.store.base), { cache: "no-cache", signal });
      if (!answer.ok) return null;
      const text = await answer.text();
      return { rows: new Map(Object.entries(this.ask.parse(text))), beside: this.ask.beside?.(text) };
    } catch (error) {
      if (error instanceof BadFrame || error instanceof TypeError || error instanceof DOMException) return null;
      throw error;
    }
  }
}
