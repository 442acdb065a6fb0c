/**
 * The rows of the topics that a page shows beside the system's state.
 *
 * @typedef {Readonly<Record<string, unknown>>} Row
 *
 * @typedef {object} Part  what is new of one topic
 * @property {boolean} whole  these rows are all there are: others are gone
 * @property {Record<string, Row | null>} rows  null: gone
 *
 * @typedef {Record<string, Part>} News  by topic; a plain value, since it travels between tabs
 */

const WINDOW = 100; // ms between two tellings of changes, the first of which is told at once

/** What is known now, by topic and key. */
export class Rows {
  /** @type {Map<string, Map<string, Row>>} */ #topics = new Map();

  /** @param {string} topic @returns {ReadonlyMap<string, Row>} */
  of(topic) {
    return this.#topics.get(topic) ?? new Map();
  }

  /** @param {News} news */
  apply(news) {
    for (const [topic, { whole, rows }] of Object.entries(news)) {
      const known = new Map(whole ? [] : this.#topics.get(topic));
      for (const [key, row] of Object.entries(rows)) row ? known.set(key, row) : known.delete(key);
      this.#topics.set(topic, known);
    }
  }

  /** All of it, for one who knows nothing yet. @param {Iterable<string>} [topics] @returns {News} */
  all(topics = this.#topics.keys()) {
    const known = [...topics].filter((topic) => this.#topics.has(topic));
    return Object.fromEntries(known.map((topic) => [topic, { whole: true, rows: Object.fromEntries(this.of(topic)) }]));
  }
}

/**
 * What one stream tells of rows: a snapshot, told once it is complete, then changes. A stream that goes on where another one
 * of the same server's life ended brings the changes only; from another life, or with other topics, all begins anew.
 */
export class Telling {
  rows = new Rows();
  #epoch = "";
  #topics = /** @type {string[]} */ ([]);
  #cursor = "";
  #complete = false;
  #news = /** @type {News} */ ({});
  #toldAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {(news: News) => void} told */
  constructor(told) {
    this.told = told;
  }

  /** The topics whose rows are all known. */
  get topics() {
    return this.#complete ? this.#topics : [];
  }

  /** The id of the last event, from which a stream of `topics` may go on. @param {string[]} topics */
  cursor(topics) {
    return same(topics, this.#topics) ? this.#cursor : "";
  }

  /** What comes next is to be a snapshot. */
  forget() {
    this.#cursor = this.#epoch = "";
  }

  /** @param {import("./frames.js").Hello} hello  which begins every stream @param {string[]} topics  that were asked for */
  hello({ epoch }, topics) {
    if (epoch === this.#epoch && same(topics, this.#topics)) return;
    this.stop();
    [this.#epoch, this.#topics, this.#cursor, this.#complete] = [epoch, topics, "", false];
    this.reset();
  }

  /** The server forgot which rows went meanwhile: it tells all of them. */
  reset() {
    this.#news = Object.fromEntries(this.#topics.map((topic) => [topic, { whole: true, rows: {} }]));
    this.#tell();
  }

  /** @param {import("./frames.js").RowChange} change @param {string} cursor */
  change({ topic, key, row }, cursor) {
    this.#cursor = cursor;
    const { rows } = (this.#news[topic] ??= { whole: false, rows: {} });
    rows[key] = row;
    this.#tell();
  }

  /** @param {string} cursor */
  ready(cursor) {
    this.#cursor = cursor;
    this.#complete = true;
    this.#flush();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tell() {
    if (!this.#complete || this.#timer) return; // as long as a snapshot is not complete, what was known before stays
    this.#timer = setTimeout(() => this.#flush(), Math.max(0, this.#toldAt + WINDOW - performance.now()));
  }

  #flush() {
    this.stop();
    this.#toldAt = performance.now();
    const news = this.#news;
    this.#news = {};
    this.rows.apply(news);
    this.told(news);
  }
}

/** @param {string[]} these @param {string[]} those  both in order */
const same = (these, those) => these.join() === those.join();
