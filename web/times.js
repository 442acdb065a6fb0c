import { setAttributes, setText } from "./dom.js";

const WORDS = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = /** @type {const} */ ([["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]]);
const TICK = 1_000; // ms

/** @type {Map<HTMLTimeElement, number>} */
const shown = new Map();
/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;

/** How long ago in words, "2 minutes ago"; a clock that is ahead of ours says "now". @param {number} then @param {number} now */
export function ago(then, now) {
  const seconds = Math.max(0, Math.floor((now - then) / 1_000));
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["second", 1];
  return WORDS.format(-Math.floor(seconds / size), unit);
}

/**
 * Makes `element` say how long ago `moment` was; one timer for the whole page keeps it true while it stands in the page.
 * @param {HTMLTimeElement} element @param {number} moment  ms since 1970
 */
export function setTime(element, moment) {
  const date = new Date(moment);
  setAttributes(element, { datetime: date.toISOString(), title: date.toLocaleString() });
  setText(element, ago(moment, Date.now()));
  shown.set(element, moment);
  timer ??= setInterval(tick, TICK);
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY_AND_CLOCK = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const HALF_A_DAY = 43_200_000; // ms

/** The time of day, "12:03", with the day if that is not plain. @param {number} moment @param {number} [now] */
export function clock(moment, now = Date.now()) {
  return (Math.abs(now - moment) < HALF_A_DAY ? CLOCK : DAY_AND_CLOCK).format(moment);
}

/** Makes `element` say when `moment` was. @param {HTMLTimeElement} element @param {number} moment  ms since 1970 */
export function setMoment(element, moment) {
  const date = new Date(moment);
  setAttributes(element, { datetime: date.toISOString(), title: date.toLocaleString() });
  setText(element, clock(moment));
}

function tick() {
  const now = Date.now();
  for (const [element, moment] of shown) {
    if (element.isConnected) setText(element, ago(moment, now));
    else shown.delete(element);
  }
  if (shown.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
