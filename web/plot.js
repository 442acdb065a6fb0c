import { html, setAttributes, setText, svg } from "./dom.js";

const WIDTH = 1_000; // of the picture's own units, stretched to the place there is
const HEIGHT = 100;
const HOVER = 150; // ms until the pointer is taken to mean something

let plots = 0;

/**
 * A picture over time that pointer and arrow keys walk through, slot by slot. Its paths are made once and redrawn by their `d`.
 *
 * @typedef {object} Walk
 * @property {() => number} count  how many slots there are
 * @property {(part: number) => number} at  the slot at that part of the width
 * @property {(place: number) => number} centre  of a slot, as a part of the width
 * @property {(place: number) => string[]} lines  what there is to say of it
 */
export class Plot {
  #picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", tabindex: 0, focusable: "true" });
  #cursor = html("div", { class: "cursor", hidden: true });
  #bubble = html("div", { class: "bubble", hidden: true, "aria-hidden": "true" });
  spoken = html("p", { class: "unseen", role: "status" });
  root = html("div", { class: "plot" }, this.#picture, this.#cursor, this.#bubble);
  #paths;
  /** @type {number | null} */ #at = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #hovering;

  /** @param {readonly string[]} paths  the one called "gap" is hatched @param {Walk} walk */
  constructor(paths, walk) {
    this.walk = walk;
    this.#paths = new Map(paths.map((name) => [name, svg("path", { class: name, "vector-effect": "non-scaling-stroke" })]));
    const hatch = `hatch-${++plots}`;
    const lines = svg("path", { d: "M0 8 8 0M-2 2 2-2M6 10 10 6", class: "hatching" });
    const pattern = svg("pattern", { id: hatch, width: 8, height: 8, patternUnits: "userSpaceOnUse" }, lines);
    this.#picture.append(svg("defs", {}, pattern), ...this.#paths.values());
    setAttributes(/** @type {Element} */ (this.#paths.get("gap")), { fill: `url(#${hatch})` });
    this.#picture.addEventListener("pointermove", (event) => this.#hover(/** @type {PointerEvent} */ (event)));
    this.#picture.addEventListener("pointerleave", () => this.leave());
    this.#picture.addEventListener("keydown", (event) => this.#key(/** @type {KeyboardEvent} */ (event)));
    this.#picture.addEventListener("blur", () => this.leave());
  }

  /** @param {Readonly<Record<string, string>>} paths  the `d` of each @param {string} summary  in words @param {boolean} loading */
  draw(paths, summary, loading) {
    if (loading) this.leave();
    for (const [name, d] of Object.entries(paths)) setAttributes(/** @type {Element} */ (this.#paths.get(name)), { d });
    setAttributes(this.#picture, { "aria-label": summary, "data-loading": loading });
    if (this.#at !== null) this.#point(this.#at);
  }

  leave() {
    clearTimeout(this.#hovering);
    this.#at = null;
    this.#cursor.hidden = this.#bubble.hidden = true;
  }

  /** @param {PointerEvent} event */
  #hover(event) {
    const { left, width } = this.#picture.getBoundingClientRect();
    const place = this.walk.at((event.clientX - left) / width);
    if (this.#at !== null) return this.#point(place);
    clearTimeout(this.#hovering);
    this.#hovering = setTimeout(() => this.#point(place), HOVER);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const last = this.walk.count() - 1;
    const at = this.#at ?? last + 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.leave();
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#point(Math.max(0, Math.min(last, to)));
    setText(this.spoken, this.#bubble.innerText.replaceAll("\n", ", "));
  }

  /** @param {number} place */
  #point(place) {
    const lines = place < this.walk.count() ? this.walk.lines(place) : [];
    if (lines.length === 0) return this.leave();
    this.#at = place;
    if (this.#bubble.childElementCount !== lines.length) this.#bubble.replaceChildren(...lines.map(() => html("div")));
    lines.forEach((line, number) => setText(/** @type {Element} */ (this.#bubble.children[number]), line));
    this.#cursor.hidden = this.#bubble.hidden = false;
    const part = this.walk.centre(place);
    this.#cursor.style.left = `${100 * part}%`;
    const width = this.root.clientWidth;
    const free = width - this.#bubble.offsetWidth;
    this.#bubble.style.left = `${Math.max(0, Math.min(free, part * width - this.#bubble.offsetWidth / 2))}px`;
  }
}
