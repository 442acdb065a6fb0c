import { failure } from "./failure.js";
import { BadFrame, isRecord, moment, parseObject } from "./frames.js";
import { TIMING } from "./timing.js";

const MINUTE = 60_000; // ms
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MOST = 10_000; // rows of one answer

/**
 * What may be looked back on: slots aligned to UTC, the last of which is the present one. The hour is made of the rows
 * themselves, the rest of the last row in each of the server's groups: counts are snapshots, and never summed.
 */
export const RANGES = Object.freeze({
  hour: { label: "Hour", words: "the last hour", slot: MINUTE, slots: 60, group: null },
  day: { label: "Day", words: "the last 24 hours", slot: HOUR, slots: 24, group: "hour" },
  week: { label: "Week", words: "the last 7 days", slot: HOUR, slots: 168, group: "hour" },
  month: { label: "Month", words: "the last 30 days", slot: DAY, slots: 30, group: "day" },
});

/**
 * @typedef {keyof typeof RANGES} RangeName
 * @typedef {{ words: string, slot: number, slots: number, group: string | null }} Range
 *
 * @typedef {object} Entry  one row of the log, or the last one of a group
 * @property {number} at  ms since 1970
 * @property {number} running
 * @property {number} pending
 * @property {number} transitions  how many changes it stands for
 *
 * @typedef {object} Slot
 * @property {number} start
 * @property {number} end
 * @property {number | null} running  at its end; null: not known
 * @property {number | null} pending
 * @property {number} transitions
 *
 * @typedef {object} Shown
 * @property {Range} range
 * @property {Slot[]} slots
 * @property {number} now  ms, by the server's clock
 * @property {number} skew  ms that it is ahead of ours
 * @property {string | null} error
 * @property {boolean} loading  nothing has been answered yet for this range
 */

/**
 * The slots of `range` up to `now`. The log has a row per change, so that between two rows nothing changed.
 * @param {readonly Entry[]} entries  in order @param {Entry | null} before  the last one before them
 * @param {Range} range @param {number} now @param {number} [until]  nothing is known after it
 * @returns {Slot[]}
 */
export function slotsOf(entries, before, { slot, slots }, now, until = now) {
  const first = (Math.floor(now / slot) + 1 - slots) * slot;
  let last = before;
  let place = 0;
  return Array.from({ length: slots }, (_, number) => {
    const start = first + number * slot;
    let transitions = 0;
    for (let entry = entries[place]; entry && entry.at < start + slot; entry = entries[++place]) {
      if (entry.at >= start) transitions += entry.transitions;
      last = entry;
    }
    const known = start <= until ? last : null;
    return { start, end: Math.min(start + slot, now), running: known?.running ?? null, pending: known?.pending ?? null, transitions };
  });
}

/** The rows of GET /api/v1/status, oldest first, and whether they are all. @param {string} answer */
export function parseHistory(answer) {
  const { data, total } = parseObject(answer);
  if (!Array.isArray(data)) throw new BadFrame("no `data`");
  const entries = data.filter(isRecord).flatMap((row) => {
    const at = moment(row.timestamp);
    const entry = { running: Number(row.executions_running ?? 0), pending: Number(row.executions_pending ?? 0) };
    return at === null ? [] : [{ at, ...entry, transitions: Number(row.transitions ?? 1) }];
  });
  return { entries: entries.reverse().sort((one, other) => one.at - other.at), complete: Number(total ?? data.length) <= data.length };
}

/** Asks for what a chart shows: at once, after a change of its range, and throttled after changes of which the stream tells. */
export class History {
  /** @type {Entry[]} */ #entries = [];
  /** @type {Entry | null} */ #before = null;
  /** @type {Pick<Entry, "running" | "pending"> | null} */ #present = null;
  /** @type {number | null} */ #until = null;
  #skew = 0;
  /** @type {string | null} */ #error = null;
  /** @type {RangeName} */ #wanted = "hour";
  /** @type {RangeName} */ #known = "hour";
  #loading = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {AbortController | null} */ #asking = null;
  #again = false;
  #earliest = -Infinity;

  /** @param {string} base @param {(shown: Shown) => void} changed @param {import("./timing.js").Timing} [timing] */
  constructor(base, changed, timing = TIMING) {
    this.base = base;
    this.changed = changed;
    this.timing = timing;
  }

  /**
   * What the stream tells of the present. @param {Readonly<Record<string, number>>} counts
   * @param {number | null} until  when it was so (by the server's clock), null for now @param {number} skew
   */
  now(counts, until, skew) {
    this.#present = { running: counts.running ?? 0, pending: counts.pending ?? 0 };
    this.#until = until;
    this.#skew = skew;
    this.#show();
  }

  /** Something changed. @param {RangeName} range */
  ask(range) {
    this.#wanted = range;
    if (this.#asking) this.#again = true;
    else this.#timer ??= setTimeout(() => void this.#ask(), Math.max(0, this.#earliest - performance.now()));
  }

  /** Somebody wants to see another range. @param {RangeName} range */
  choose(range) {
    this.#wanted = range;
    this.stop();
    void this.#ask();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#asking?.abort();
    this.#asking = null;
  }

  async #ask() {
    this.#timer = undefined;
    this.#again = false;
    const asking = new AbortController();
    this.#asking = asking;
    const [range, asked] = [this.#wanted, performance.now()];
    const signal = AbortSignal.any([asking.signal, AbortSignal.timeout(this.timing.historyTimeout)]);
    /** @type {string | null} */
    let error = null;
    try {
      await this.#fetch(range, signal);
      this.#loading = false;
    } catch (problem) {
      error = await failure(problem, this.base);
    }
    if (asking.signal.aborted) return;
    this.#asking = null;
    this.#error = error;
    const done = performance.now();
    this.#earliest = done + Math.max(this.timing.historyLeast, this.timing.historyRest * (done - asked));
    this.#show();
    if (this.#again || error) this.ask(this.#wanted);
  }

  /** @param {RangeName} name @param {AbortSignal} signal */
  async #fetch(name, signal) {
    const { slot, slots, group } = RANGES[name];
    const start = new Date((Math.floor((Date.now() + this.#skew) / slot) + 1 - slots) * slot).toISOString();
    /** @type {Record<string, string>} */
    const rows = group ? { aggregate: "true", group_by: group, per_page: "1000" } : { per_page: String(MOST) };
    const [{ entries, complete }, { entries: before }] = await Promise.all([
      this.#rows({ start_date: start, ...rows }, signal),
      this.#rows({ end_date: start, per_page: "1" }, signal),
    ]);
    if (signal.aborted) return;
    this.#entries = entries;
    this.#before = complete ? (before.at(-1) ?? null) : null; // else nobody knows how it was before the oldest of them
    this.#known = name;
  }

  /** @param {Record<string, string>} query @param {AbortSignal} signal */
  async #rows(query, signal) {
    const answer = await fetch(new URL(`api/v1/status?${new URLSearchParams(query)}`, this.base), { cache: "no-cache", signal });
    if (!answer.ok) throw new Error(`HTTP error! status: ${answer.status}`);
    return parseHistory(await answer.text());
  }

  #show() {
    const now = Date.now() + this.#skew;
    const range = RANGES[this.#known];
    const slots = slotsOf(this.#entries, this.#before, range, now, this.#until ?? now);
    const last = slots.at(-1);
    if (last && this.#until === null && !this.#loading) Object.assign(last, this.#present);
    this.changed({ range, slots, now, skew: this.#skew, error: this.#error, loading: this.#loading });
  }
}
