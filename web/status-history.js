/**
 * `<status-history>`: what the badge showed over the last 24 hours; what nobody can vouch for is hatched. One tag on any page:
 *
 *     <script type="module" src="https://HOST/status-history.js"></script>
 *     <status-history></status-history>
 *
 * Attributes: `server`, the Stability server's root (default: where this module came from); `granularity`, the minutes of a
 * column: 5, 15 (default), 30 or 60. Slot `title`: a heading of yours. Parts: way, chart.
 */
import { adopt, html, setText } from "./dom.js";
import { failure } from "./failure.js";
import { live } from "./live.js";
import { KINDS, drawn, parsePast, shares, slotsUntil } from "./past.js";
import { Plot } from "./plot.js";
import { PART } from "./styles.js";
import { HISTORY } from "./styles-parts.js";
import { clock, setTime } from "./times.js";
import { TIMING } from "./timing.js";

/** @typedef {import("./past.js").Past} Past @typedef {import("./past.js").Slot} Slot */

const WORDS = { stable: "stable", processing: "processing", gap: "unknown" };
const MINUTE = 60_000; // ms
const OFTEN = 5 * MINUTE; // between two questions while nothing happens
const SETTLED = 2_500; // ms after a change until the server has written it down
const LEAST = 15_000; // ms between two questions, however much happens
const WHEN = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });

class StatusHistory extends HTMLElement {
  static observedAttributes = ["server", "granularity"];

  #plot = new Plot(KINDS, {
    count: () => this.#slots.length,
    at: (part) => Math.max(0, Math.min(this.#slots.length - 1, Math.floor(part * this.#slots.length))),
    centre: (place) => (place + 0.5) / this.#slots.length,
    lines: (place) => this.#lines(place),
  });
  #said = html("span");
  #time = html("time");
  #asOf = html("span", { class: "as-of", hidden: true }, "as of ", this.#time);
  #keys = new Map(KINDS.map((kind) => [kind, html("span", { class: kind })]));
  #from = html("span");
  #body = html("tbody");
  #table = html("details", {}, html("summary", {}, "Show as table"),
    html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The last 24 hours" },
      html("table", {}, html("thead", {}, html("tr", {}, ...["From", "Stable", "Processing", "Unknown"].map((word) => html("th", { scope: "col" }, word)))), this.#body)));
  #figure = html("figure", { class: "chart", part: "chart", hidden: true },
    this.#plot.root, html("p", { class: "axis", "aria-hidden": "true" }, this.#from, html("span", {}, "now")),
    html("figcaption", { class: "legend" }, ...this.#keys.values()), this.#plot.spoken, this.#table);
  /** @type {Slot[]} */ #slots = [];
  /** @type {Past | null} */ #past = null;
  /** @type {ReturnType<typeof live> | null} */ #store = null;
  /** @type {() => void} */ #unsubscribe = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {AbortController | null} */ #asking = null;
  #seen = "";
  #looks = 0;
  #askedAt = -Infinity;
  #dueAt = Infinity;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    for (const sheet of [PART, HISTORY]) adopt(root.adoptedStyleSheets, sheet);
    root.append(html("header", {}, html("slot", { name: "title" }), html("p", { class: "way", part: "way" }, this.#said, " ", this.#asOf)), this.#figure);
    this.#table.addEventListener("toggle", () => this.#tabulate());
  }

  connectedCallback() {
    if (!this.#store) this.#follow();
  }

  disconnectedCallback() {
    queueMicrotask(() => this.isConnected || this.#unfollow());
  }

  attributeChangedCallback() {
    if (!this.#store) return;
    this.#unfollow();
    this.#follow();
  }

  #follow() {
    this.#store = live(this.getAttribute("server") ?? undefined);
    this.#unsubscribe = this.#store.subscribe(() => this.#look());
    this.#look();
  }

  #unfollow() {
    this.#unsubscribe();
    this.#rest();
    this.#store = null;
    this.#seen = "";
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#dueAt = Infinity;
    this.#asking?.abort();
    this.#asking = null;
  }

  /** A change of the state is worth a question, and so is whatever shows that the server is there again. */
  #look() {
    const { snapshot } = /** @type {ReturnType<typeof live>} */ (this.#store);
    const seen = `${snapshot.stable} ${snapshot.transport} ${snapshot.listener} ${snapshot.looks}`;
    if (seen === this.#seen) return;
    this.#seen = seen;
    const looked = snapshot.looks !== this.#looks;
    this.#looks = snapshot.looks;
    if (snapshot.transport === "paused" && !looked) this.#rest();
    else if (!snapshot.loading) this.#askIn(this.#past ? SETTLED : 0);
    if (this.#past) this.#show();
  }

  /** @param {number} wait  ms; longer if the last question is too young */
  #askIn(wait) {
    const due = Math.max(performance.now() + wait, this.#askedAt + LEAST);
    if (due >= this.#dueAt || this.#asking) return;
    clearTimeout(this.#timer);
    this.#dueAt = due;
    this.#timer = setTimeout(() => void this.#ask(), due - performance.now());
  }

  async #ask() {
    const asking = new AbortController();
    this.#asking = asking;
    this.#dueAt = Infinity;
    this.#askedAt = performance.now();
    const error = await this.#fetch(AbortSignal.any([asking.signal, AbortSignal.timeout(TIMING.historyTimeout)]));
    if (asking.signal.aborted) return;
    this.#asking = null;
    setText(this.#said, error ? `Failed to load the history: ${error}` : "");
    if (this.#past) this.#show();
    if (this.#store?.snapshot.transport !== "paused") this.#askIn((error ? LEAST : OFTEN) * (0.9 + Math.random() / 5)); // not all browsers in step
  }

  /** @param {AbortSignal} signal @returns {Promise<string | null>} */
  async #fetch(signal) {
    try {
      const minutes = this.getAttribute("granularity") ?? "15";
      const url = new URL(`api/system-status/history?granularity=${encodeURIComponent(minutes)}`, this.#store?.base);
      const answer = await fetch(url, { cache: "no-cache", signal });
      if (!answer.ok) return `HTTP error! status: ${answer.status}`;
      this.#past = parsePast(await answer.text());
      return null;
    } catch (error) {
      return failure(error, this.#store?.base ?? location.href);
    }
  }

  #show() {
    const [past, skew] = [/** @type {Past} */ (this.#past), this.#store?.snapshot.skew ?? 0];
    this.#slots = slotsUntil(past, Date.now() + skew);
    const parts = shares(this.#slots).map(([kind, share]) => `${share} ${WORDS[kind]}`);
    this.#plot.draw(drawn(this.#slots, past.slot), `The system over the last 24 hours: ${parts.join(", ")}.`, false);
    KINDS.forEach((kind, place) => setText(/** @type {Element} */ (this.#keys.get(kind)), parts[place] ?? ""));
    setText(this.#from, WHEN.format((this.#slots[0]?.start ?? 0) - skew));
    setTime(this.#time, past.asOf - skew);
    this.#asOf.hidden = this.#figure.hidden = false;
    this.#tabulate();
  }

  /** @param {number} place */
  #lines(place) {
    const [slot, skew] = [this.#slots[place], this.#store?.snapshot.skew ?? 0];
    if (!slot) return [];
    const known = KINDS.filter((kind) => slot[kind] > 0).map((kind) => `${slot[kind]} % ${WORDS[kind]}`);
    return [`${WHEN.format(slot.start - skew)} – ${clock(slot.end - skew)}`, ...known];
  }

  #tabulate() {
    if (!this.#table.open) return;
    while (this.#body.rows.length > this.#slots.length) this.#body.deleteRow(-1);
    while (this.#body.rows.length < this.#slots.length) this.#body.append(html("tr", {}, html("th", { scope: "row" }), html("td"), html("td"), html("td")));
    [...this.#slots].reverse().forEach((slot, place) => {
      const cells = [WHEN.format(slot.start - (this.#store?.snapshot.skew ?? 0)), ...KINDS.map((kind) => `${slot[kind]} %`)];
      cells.forEach((cell, column) => setText(/** @type {Element} */ (this.#body.rows[place]?.cells[column]), cell));
    });
  }
}

if (!customElements.get("status-history")) customElements.define("status-history", StatusHistory);
