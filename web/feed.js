import { BadFrame } from "./frames.js";
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
 *
 * @typedef {object} View
 * @property {"loading" | "live" | "polling" | "lost" | "absent" | "refused"} way  how the rows came; absent: the server has no such topic
 * @property {ReadonlyMap<string, Row>} rows
 * @property {number | null} asOf  when they were so, by this browser's clock (ms)
 * @property {number} skew  ms that the server's clock is ahead of it
 */
export class Feed {
  /** @type {View} */ view = { way: "loading", rows: new Map(), asOf: null, skew: 0 };
  /** @type {() => void} */ #unfollow = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {AbortController | null} */ #asking = null;
  /** @type {{ rows: Map<string, Row>, at: number } | null} */ #answer = null;
  #answered = false;

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
    const { transport, topics } = this.store.snapshot;
    const streamed = transport === "live" && topics[this.topic] !== undefined;
    if (streamed || transport === "paused") this.#rest();
    else if (!this.#timer && !this.#asking) this.#later(this.timing.rowsBusy);
    if (streamed) this.#answered = false;
    this.#show();
  }

  #show() {
    const { snapshot, rows } = this.store;
    const told = snapshot.rowsAt ?? -Infinity;
    const newer = this.#answer && this.#answer.at > told ? this.#answer : null;
    const known = newer?.rows ?? rows.of(this.topic);
    const asOf = newer?.at ?? snapshot.rowsAt;
    this.view = { way: this.#way(asOf), rows: known, asOf, skew: snapshot.skew };
    this.changed(this.view);
  }

  /** @param {number | null} asOf @returns {View["way"]} */
  #way(asOf) {
    const { transport, topics, listener } = this.store.snapshot;
    const standing = topics[this.topic];
    if (standing === "absent" || standing === "refused") return standing;
    if (transport === "live" && listener !== "lost" && standing !== "told") return "loading";
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
    const rows = await this.#rows(AbortSignal.any([asking.signal, AbortSignal.timeout(this.timing.pollTimeout)]));
    if (asking.signal.aborted) return;
    this.#asking = null;
    this.#answered = rows !== null;
    if (rows) this.#answer = { rows, at: Date.now() };
    this.#show();
    this.#later(this.ask.busy(this.view.rows) ? this.timing.rowsBusy : this.timing.rowsIdle);
  }

  /** @param {AbortSignal} signal @returns {Promise<Map<string, Row> | null>} */
  async #rows(signal) {
    try {
      const answer = await fetch(new URL(this.ask.path, this.store.base), { cache: "no-cache", signal });
      return answer.ok ? new Map(Object.entries(this.ask.parse(await answer.text()))) : null;
    } catch (error) {
      if (error instanceof BadFrame || error instanceof TypeError || error instanceof DOMException) return null;
      throw error;
    }
  }
}
