import { BadFrame, isRecord, moment, parseObject } from "./frames.js";

/**
 * @typedef {object} Slot  percent of the time from `start` to `end`
 * @property {number} start  ms since 1970, by the server's clock
 * @property {number} end
 * @property {number} stable
 * @property {number} processing
 * @property {number} gap
 *
 * @typedef {{ slots: Slot[], slot: number, asOf: number }} Past  `slot`: how long one is (ms)
 */

/** Bottom to top. */
export const KINDS = /** @type {const} */ (["stable", "processing", "gap"]);
const MINUTE = 60_000; // ms
const DAY = 24 * 60 * MINUTE; // ms
const [WIDTH, HEIGHT] = [1_000, 100]; // of the picture's own units
const THIN = 6; // of them: the least that something which was so is drawn with
const SEAM = 0.15; // of a column, between two

/** The answer of GET /api/system-status/history. @param {string} text @returns {Past} */
export function parsePast(text) {
  const { granularity, as_of: asOf, data } = parseObject(text);
  const [slot, read] = [Number(granularity) * MINUTE, moment(asOf)];
  if (!Array.isArray(data) || !(slot > 0) || read === null) throw new BadFrame("no history");
  const slots = data.filter(isRecord).flatMap((each) => {
    const start = moment(each.timestamp);
    const [stable, processing, gap] = [Number(each.stable), Number(each.processing), Number(each.unknown)];
    return start === null ? [] : [{ start, end: Math.min(start + slot, read), stable, processing, gap }];
  });
  return { slots, slot, asOf: read };
}

/** What is known at `now`: what was read, and after it nothing. @param {Past} past @param {number} now @returns {Slot[]} */
export function slotsUntil({ slots, slot, asOf }, now) {
  if (now - asOf <= slot) return slots;
  const more = [];
  for (let start = (slots.at(-1)?.start ?? asOf) + slot; start < now; start += slot) {
    more.push({ start, end: Math.min(start + slot, now), stable: 0, processing: 0, gap: 100 });
  }
  return [...slots, ...more].filter(({ end }) => end > now - DAY);
}

/** The `d` of each path: columns, stable below processing below what is not known; where nothing is known, one for all. @param {readonly Slot[]} slots @param {number} slot */
export function drawn(slots, slot) {
  const d = { stable: "", processing: "", gap: "" };
  const width = WIDTH / Math.max(1, slots.length);
  slots.forEach((each, place) => {
    if (each.gap === 100 && slots[place + 1]?.gap === 100) return;
    const first = each.gap === 100 ? 1 + slots.slice(0, place).findLastIndex(({ gap }) => gap !== 100) : place;
    const full = Math.max(0.2, (each.end - each.start) / slot);
    const [left, right] = [round(first * width), round((place + full * (1 - SEAM)) * width)];
    let bottom = HEIGHT;
    for (const [kind, height] of heights(each)) {
      if (height > 0) d[kind] += `M${left} ${round(bottom)}V${round(bottom - height)}H${right}V${round(bottom)}Z`;
      bottom -= height;
    }
  });
  return d;
}

/** @param {Slot} slot @returns {(readonly [typeof KINDS[number], number])[]} */
function heights(slot) {
  const least = KINDS.map((kind) => (slot[kind] > 0 ? Math.max(THIN, slot[kind]) : 0));
  const sum = least.reduce((one, other) => one + other, 0) || 1;
  return KINDS.map((kind, place) => [kind, (HEIGHT * (least[place] ?? 0)) / sum]);
}

/** @param {number} number */
const round = (number) => Math.round(number * 10) / 10;

/** The share of each kind of the whole, in percent. @param {readonly Slot[]} slots */
export function shares(slots) {
  const whole = slots.reduce((sum, { start, end }) => sum + end - start, 0) || 1;
  const share = (/** @type {typeof KINDS[number]} */ kind) => slots.reduce((sum, slot) => sum + (slot.end - slot.start) * slot[kind], 0) / whole;
  return KINDS.map((kind) => /** @type {const} */ ([kind, percent(share(kind))]));
}

/** Never all, and never nothing, where it was not quite. @param {number} share */
function percent(share) {
  const tenths = share > 0 && share < 100 ? Math.min(99.9, Math.max(0.1, round(share))) : share;
  return `${tenths} %`;
}
