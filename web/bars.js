import { html, setAttributes, setText, svg } from "./dom.js";
import { STATUSES, described, endOf, summary } from "./service-history.js";

/**
 * A service's last 24 hours in a row of stacked bars. Four paths that are made once and redrawn by their `d`, whatever the number
 * of bars: passing, warning, critical, unknown, bottom to top. Where nobody looked nothing is drawn over the hatched ground.
 *
 * @typedef {import("./service-history.js").Past} Past
 * @typedef {import("./service-history.js").Slot} Slot
 */

// The picture's own units, stretched to the place there is: so fine that whole numbers will do, which are written and read fast.
const WIDTH = 10_000;
const PX = 10; // of them, in height
const HEIGHT = 32 * PX;
const LEAST = 2 * PX; // of whatever is critical
const HOVER = 150; // ms until the pointer is taken to mean something

/** @type {SVGElement | undefined} */ let empty;

/** A chart without bars: to copy one is quicker than to make it. */
function chart() {
  const attributes = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", tabindex: 0, focusable: "true", class: "bars" };
  empty ??= svg("svg", attributes, ...STATUSES.map((name) => svg("path", { class: name })));
  return /** @type {SVGElement} */ (empty.cloneNode(true));
}

export class Bars {
  root = chart();
  #paths = /** @type {SVGElement[]} */ ([...this.root.children]);
  /** @type {Past | null} */ #past = null;
  #name = "";
  #seen = false;
  #stale = false;

  /** @param {Pointer} pointer */
  constructor(pointer) {
    pointer.serve(this);
  }

  get past() {
    return this.#past;
  }

  /** @param {string} name @param {Past | null} past  null: not asked for yet */
  show(name, past) {
    if (name === this.#name && past === this.#past) return;
    this.#name = name;
    this.#past = past;
    this.#stale = true;
    setAttributes(this.root, { "aria-label": past ? summary(name, past) : `${name}: loading`, "data-loading": past === null });
    if (this.#seen) this.#draw();
  }

  /** Nobody has to draw what is out of sight. @param {boolean} seen */
  see(seen) {
    this.#seen = seen;
    if (seen && this.#stale) this.#draw();
  }

  #draw() {
    this.#stale = false;
    const drawings = this.#past ? drawn(this.#past) : STATUSES.map(() => "");
    this.#paths.forEach((path, place) => setAttributes(path, { d: drawings[place] ?? "" }));
  }
}

/** The `d` of each path; bars that are alike are one. @param {Past} past @returns {string[]} */
export function drawn(past) {
  const { slots, now } = past;
  const start = slots[0]?.start ?? 0;
  const d = STATUSES.map(() => "");
  const scale = WIDTH / Math.max(1, now - start);
  for (let place = 0; place < slots.length; ) {
    const slot = /** @type {Slot} */ (slots[place]);
    while (++place < slots.length && alike(/** @type {Slot} */ (slots[place]), slot));
    if (slot.samples === 0) continue;
    const left = Math.round((slot.start - start) * scale);
    const right = Math.round((endOf(past, place - 1) - start) * scale);
    let y = HEIGHT;
    const high = heights(slot);
    for (let status = 0; status < 4; status++) {
      const height = /** @type {number} */ (high[status]);
      if (height > 0) d[status] += `M${left} ${Math.round(y)}H${right}V${Math.round((y -= height))}H${left}Z`;
    }
  }
  return d;
}

/** @param {Slot} one @param {Slot} other */
const alike = (one, other) =>
  (one.samples === 0) === (other.samples === 0) && one.passing === other.passing && one.warning === other.warning &&
  one.critical === other.critical && one.unknown === other.unknown;

/** How high each part of a bar is, bottom to top: as its share, but what is critical can always be seen. @param {Slot} slot */
export function heights(slot) {
  const rest = slot.passing + slot.warning + slot.unknown;
  const total = rest + slot.critical;
  if (total === 0) return [0, 0, 0, 0];
  const critical = slot.critical > 0 ? Math.max(LEAST, (slot.critical / total) * HEIGHT) : 0;
  const part = rest > 0 ? (HEIGHT - critical) / rest : 0;
  return [slot.passing * part, slot.warning * part, critical, slot.unknown * part];
}

/** What stands beside the pointer, or at the bar that the arrow keys reached: one for all charts of a table. */
export class Pointer {
  #bubble = html("div", { class: "bubble", hidden: true, "aria-hidden": "true" });
  #spoken = html("p", { class: "unseen", role: "status" });
  root = html("div", { class: "pointer" }, this.#bubble, this.#spoken);
  /** @type {Bars | null} */ #at = null;
  #place = -1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #hovering;

  /** @param {(bars: Bars) => void} chosen  somebody looks at these */
  constructor(chosen) {
    this.chosen = chosen;
  }

  /** @param {Bars} bars */
  serve(bars) {
    const { root } = bars;
    root.addEventListener("pointermove", (event) => this.#hover(bars, /** @type {PointerEvent} */ (event)));
    root.addEventListener("pointerleave", () => this.leave());
    root.addEventListener("blur", () => this.leave());
    root.addEventListener("focus", () => this.chosen(bars));
    root.addEventListener("keydown", (event) => this.#key(bars, /** @type {KeyboardEvent} */ (event)));
  }

  leave() {
    clearTimeout(this.#hovering);
    this.#hovering = undefined;
    this.#at = null;
    this.#bubble.hidden = true;
  }

  /** @param {Bars} bars @param {PointerEvent} event */
  #hover(bars, event) {
    const { left, width } = bars.root.getBoundingClientRect();
    const place = placeAt(bars.past, (event.clientX - left) / width);
    if (this.#at === bars) return this.#point(bars, place);
    clearTimeout(this.#hovering);
    this.#hovering = setTimeout(() => this.#point(bars, place), HOVER);
  }

  /** @param {Bars} bars @param {KeyboardEvent} event */
  #key(bars, event) {
    const last = (bars.past?.slots.length ?? 0) - 1;
    const at = this.#at === bars ? this.#place : last + 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.leave();
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#point(bars, Math.max(0, Math.min(last, to)));
    setText(this.#spoken, this.#bubble.innerText.replaceAll("\n", ", "));
  }

  /** @param {Bars} bars @param {number} place */
  #point(bars, place) {
    const { past } = bars;
    const slot = past?.slots[place];
    if (!past || !slot) return this.leave();
    this.#at = bars;
    this.#place = place;
    this.#bubble.replaceChildren(...described(past, place).map((line) => html("div", {}, line)));
    this.#bubble.hidden = false;
    const [chart, ground] = [bars.root.getBoundingClientRect(), this.root.getBoundingClientRect()];
    const start = past.slots[0]?.start ?? 0;
    const part = ((slot.start + endOf(past, place)) / 2 - start) / Math.max(1, past.now - start);
    const wanted = chart.left - ground.left + part * chart.width - this.#bubble.offsetWidth / 2;
    this.#bubble.style.left = `${Math.max(0, Math.min(ground.width - this.#bubble.offsetWidth, wanted))}px`;
    this.#bubble.style.top = `${chart.top - ground.top - this.#bubble.offsetHeight - 4}px`;
  }
}

/** @param {Past | null} past @param {number} part  of the width */
function placeAt(past, part) {
  if (!past) return -1;
  const start = past.slots[0]?.start ?? 0;
  return past.slots.findLastIndex((slot) => slot.start <= start + part * (past.now - start));
}
