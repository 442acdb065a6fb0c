import { parseObject } from "./frames.js";

const SYSTEM = "stability";

/** Which topics a stream is to have: what somebody wants, less what the server would not tell. */
export class Topics {
  /** @type {Set<string>} */ #wanted = new Set();
  /** @type {Map<string, "absent" | "refused">} */ #without = new Map();

  /** @param {string | URL} base */
  constructor(base) {
    this.base = base;
  }

  /** @param {Iterable<string>} topics @returns {boolean}  whether any of them is missing so far */
  want(topics) {
    const more = [...topics].filter((topic) => !this.#wanted.has(topic) || this.#without.has(topic));
    for (const topic of more) this.#wanted.add(topic);
    return more.length > 0;
  }

  /** What a new stream asks for: everything, since the server may be a newer one by now. */
  ask() {
    this.#without.clear();
    return this.rest();
  }

  /** What is left to ask for, in order. */
  rest() {
    return [...this.#wanted].filter((topic) => !this.#without.has(topic)).sort();
  }

  /** @param {string} cursor  where the last stream ended, if it had these topics */
  url(cursor) {
    const topics = this.rest();
    if (topics.length === 0) return new URL("api/system-status/live", this.base);
    const resumed = cursor ? `&last_event_id=${encodeURIComponent(cursor)}` : "";
    return new URL(`api/live?topics=${[SYSTEM, ...topics].map(encodeURIComponent).join()}${resumed}`, this.base);
  }

  /**
   * Finds out why a stream of these topics was refused: the server lacks some, or it wants to know first who asks.
   * @param {string[]} asked @param {number} patience  ms @returns {Promise<[string[], "absent" | "refused"] | null>}
   *   which of them to do without, and why; null: it does not answer
   */
  async look(asked, patience) {
    const served = await this.#served(patience);
    if (!served) return null;
    const absent = asked.filter((topic) => !served.includes(topic));
    return absent.length > 0 ? [absent, "absent"] : [asked, "refused"];
  }

  /** From now on they are not asked for. @param {string[]} topics @param {"absent" | "refused"} why */
  leave(topics, why) {
    for (const topic of topics) this.#without.set(topic, why);
  }

  /** @param {number} patience @returns {Promise<unknown[] | null>} */
  async #served(patience) {
    try {
      const answer = await fetch(new URL("api/topics", this.base), { cache: "no-cache", signal: AbortSignal.timeout(patience) });
      if (answer.status === 404) return []; // an older server, which has none but the badge's
      if (!answer.ok) return null;
      const { topics } = parseObject(await answer.text());
      return Array.isArray(topics) ? topics : [];
    } catch {
      return null;
    }
  }

  /** @param {string[]} told  topics whose rows are all known @returns {Record<string, import("./snapshot.js").Standing>} */
  standing(told) {
    const known = new Set(told);
    return Object.fromEntries(
      [...this.#wanted].map((topic) => [topic, this.#without.get(topic) ?? (known.has(topic) ? "told" : "awaited")]),
    );
  }
}
