import { BadFrame, isRecord, moment, parseObject } from "./frames.js";

/**
 * How services were: the answers of GET /api/services/history, and what they say in words.
 *
 * @typedef {object} Slot
 * @property {number} start  ms since 1970
 * @property {number} passing  percent of the slot, like the others
 * @property {number} warning
 * @property {number} critical
 * @property {number} unknown
 * @property {number} samples  0: nobody looked
 *
 * @typedef {object} Past  of one service
 * @property {readonly Slot[]} slots  in order; the last one is the present
 * @property {number} length  of a slot, in ms
 * @property {number} now  ms since 1970, by the server's clock
 * @property {number} skew  ms that it is ahead of ours
 */

export const GRANULARITIES = Object.freeze([5, 15, 30, 60]); // minutes
export const STATUSES = /** @type {const} */ (["passing", "warning", "critical", "unknown"]); // bottom to top
const MINUTE = 60_000; // ms
const TOLD = 3; // periods that are named
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const WHEN = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

/** @param {string} answer @returns {{ length: number, services: Map<string, Slot[]> }} */
export function parseHistories(answer) {
  const { granularity, services } = parseObject(answer);
  if (!isRecord(services) || typeof granularity !== "number") throw new BadFrame("no histories");
  const starts = new Map();
  const found = Object.entries(services).map(([key, slots]) => /** @type {const} */ ([key, Array.isArray(slots) ? parsed(slots, starts) : []]));
  return { length: granularity * MINUTE, services: new Map(found) };
}

/**
 * In a plain loop: a table has tens of thousands, of the same few hundred moments.
 * @param {Record<string, any>[]} told @param {Map<unknown, number | null>} starts  of the timestamps read so far @returns {Slot[]}
 */
function parsed(told, starts) {
  const slots = [];
  for (const { timestamp, passing, warning, critical, unknown, samples } of told) {
    let start = starts.get(timestamp);
    if (start === undefined) starts.set(timestamp, (start = moment(timestamp)));
    if (start === null) continue;
    slots.push({
      start, passing: +(passing ?? 0), warning: +(warning ?? 0), critical: +(critical ?? 0), unknown: +(unknown ?? 0), samples: +(samples ?? 0),
    });
  }
  return slots;
}

/** When a slot ends: the last one does now. @param {Past} past @param {number} place */
export function endOf({ slots, length, now }, place) {
  const start = slots[place]?.start ?? now;
  return place < slots.length - 1 ? start + length : Math.max(start + 1, Math.min(start + length, now));
}

/** A slot in lines: when it was, then each status that there was. @param {Past} past @param {number} place @returns {string[]} */
export function described(past, place) {
  const found = past.slots[place];
  if (!found) return [];
  const when = `${WHEN.format(found.start - past.skew)} – ${CLOCK.format(endOf(past, place) - past.skew)}`;
  if (found.samples === 0) return [when, "No samples"];
  const shares = STATUSES.filter((status) => found[status] > 0).map((status) => `${title(status)}: ${found[status]}%`);
  return [when, ...(shares.length ? shares : ["No samples"])];
}

/** @param {string} status */
const title = (status) => status.charAt(0).toUpperCase() + status.slice(1);

/** "web: 99.2 % passing over 24 h, 1 critical period 03:15–03:30". @param {string} name @param {Past} past */
export function summary(name, past) {
  const { known, passing, periods } = walked(past);
  if (known === 0) return `${name}: nothing is known of the last 24 h`;
  const told = periods.slice(0, TOLD).map(([from, to]) => `${CLOCK.format(from - past.skew)}–${CLOCK.format(to - past.skew)}`);
  const more = periods.length > TOLD ? " and more" : "";
  const critical = periods.length ? `${periods.length} critical ${periods.length === 1 ? "period" : "periods"} ${told.join(", ")}${more}` : "never critical";
  const gaps = known < past.slots.length ? ", part of it not known" : "";
  return `${name}: ${Math.floor((passing / known) * 10) / 10} % passing over 24 h, ${critical}${gaps}`;
}

/**
 * How many slots are known, what their passing shares add up to, and slots one after the other in which a service was critical;
 * in one walk, since a table has tens of thousands of slots. @param {Past} past
 */
function walked(past) {
  const { slots } = past;
  /** @type {[number, number][]} */
  const periods = [];
  let [known, passing, from] = [0, 0, -1];
  for (let place = 0; place < slots.length; place++) {
    const slot = /** @type {Slot} */ (slots[place]);
    if (slot.samples > 0) {
      known += 1;
      passing += slot.passing;
    }
    if (slot.critical > 0) {
      if (from < 0) from = slot.start;
    } else if (from >= 0) {
      periods.push([from, endOf(past, place - 1)]);
      from = -1;
    }
  }
  if (from >= 0) periods.push([from, endOf(past, slots.length - 1)]);
  return { known, passing, periods };
}
