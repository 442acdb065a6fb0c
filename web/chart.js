import { html, setText } from "./dom.js";
import { Plot } from "./plot.js";

/**
 * Running and pending over time, as steps. Four paths that are made once and redrawn by their `d`: what is not known (hatched),
 * the ground below running, running, pending.
 *
 * @typedef {import("./history.js").Shown} Shown
 * @typedef {import("./history.js").Slot} Slot
 */

const WIDTH = 1_000; // of the picture's own units, stretched to the place there is
const HEIGHT = 100;
const PATHS = /** @type {const} */ (["gap", "ground", "running", "pending"]);
const WHEN = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY = 86_400_000; // ms

export class Chart {
  #plot = new Plot(PATHS, {
    count: () => (this.#shown?.loading ? 0 : (this.#shown?.slots.length ?? 0)),
    at: (part) => this.#slotAt(part),
    centre: (place) => this.#centre(place),
    lines: (place) => (this.#shown?.slots[place] ? described(/** @type {Slot} */ (this.#shown.slots[place]), this.#shown) : []),
  });
  #most = html("span", { class: "most", "aria-hidden": "true" });
  #axis = html("p", { class: "axis", "aria-hidden": "true" });
  #note = html("p", { class: "quiet", hidden: true });
  #body = html("tbody");
  #table = html("details", {}, html("summary", {}, "Show as table"),
    html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Running and pending over time" },
      html("table", {}, html("thead", {}, html("tr", {}, ...["From", "Running", "Pending", "Changes"].map((word) => html("th", { scope: "col" }, word)))), this.#body)));
  root = html("figure", { class: "chart", part: "chart" },
    html("figcaption", { class: "legend" }, html("span", { class: "key running" }, "Running"), html("span", { class: "key pending" }, "Pending"), this.#most),
    this.#plot.root, this.#axis, this.#note, this.#plot.spoken, this.#table);
  /** @type {Shown | null} */ #shown = null;

  /** @param {string} subject */
  constructor(subject) {
    this.subject = subject;
    this.#table.addEventListener("toggle", () => this.#tabulate());
  }

  /** @param {Shown} shown */
  show(shown) {
    this.#shown = shown;
    const { slots, error, loading } = shown;
    const top = Math.max(1, ...slots.map(({ running, pending }) => Math.max(running ?? 0, pending ?? 0)));
    this.#plot.draw(drawn(shown, top), summary(this.subject, shown), loading);
    setText(this.#most, loading ? "" : `up to ${top.toLocaleString()}`);
    this.#label(shown);
    this.#note.hidden = !error;
    setText(this.#note, error ? `Failed to load the history: ${error}` : "");
    this.#tabulate();
  }

  /** @param {Shown} shown */
  #label({ slots, range, skew }) {
    const words = [0, 1 / 3, 2 / 3].map((part) => slots[Math.round(part * slots.length)]);
    const format = range.slot * range.slots > DAY ? DATE : CLOCK;
    const labels = [...words.map((slot) => format.format((slot?.start ?? 0) - skew)), "now"];
    if (this.#axis.childElementCount !== labels.length) this.#axis.replaceChildren(...labels.map(() => html("span")));
    labels.forEach((label, place) => setText(/** @type {Element} */ (this.#axis.children[place]), label));
  }

  /** @param {number} part  of the width */
  #slotAt(part) {
    const { slots, now } = /** @type {Shown} */ (this.#shown ?? { slots: [], now: 0 });
    const [start, end] = ends(slots, now);
    const at = start + part * (end - start);
    const found = slots.findLastIndex((slot) => slot.start <= at);
    return Math.max(0, found);
  }

  /** @param {number} place */
  #centre(place) {
    const { slots, now } = /** @type {Shown} */ (this.#shown);
    const [start, end] = ends(slots, now);
    const slot = /** @type {Slot} */ (slots[place]);
    return ((slot.start + slot.end) / 2 - start) / (end - start);
  }

  #tabulate() {
    const shown = this.#shown;
    if (!this.#table.open || !shown) return;
    while (this.#body.rows.length > shown.slots.length) this.#body.deleteRow(-1);
    while (this.#body.rows.length < shown.slots.length) this.#body.append(html("tr", {}, html("th", { scope: "row" }), html("td"), html("td"), html("td")));
    [...shown.slots].reverse().forEach(({ start, running, pending, transitions }, place) => {
      const cells = [WHEN.format(start - shown.skew), running ?? "not known", pending ?? "not known", transitions];
      cells.forEach((cell, column) => setText(/** @type {Element} */ (this.#body.rows[place]?.cells[column]), cell.toLocaleString()));
    });
  }
}

/** @param {Slot[]} slots @param {number} now @returns {[number, number]} */
const ends = (slots, now) => [slots[0]?.start ?? 0, Math.max(now, (slots[0]?.start ?? 0) + 1)];

/** The `d` of each path. @param {Shown} shown @param {number} top */
export function drawn({ slots, now, loading }, top) {
  const [start, end] = ends(slots, now);
  const x = (/** @type {number} */ at) => round(((at - start) / (end - start)) * WIDTH);
  const y = (/** @type {number} */ count) => round(HEIGHT - 2 - (count > 0 ? 3 + (count / top) * (HEIGHT - 7) : 0));
  const d = { gap: "", ground: "", running: "", pending: "" };
  if (loading) return d;
  let [before, from] = [/** @type {Slot | null} */ (null), 0];
  for (const slot of slots) {
    const { running, pending } = slot;
    if (running === null || pending === null) {
      d.gap += `M${x(slot.start)} 0H${x(slot.end)}V${HEIGHT}H${x(slot.start)}Z`;
      if (before) d.ground += `V${HEIGHT}H${from}Z`;
      before = null;
      continue;
    }
    const joint = before ? "" : `M${x(slot.start)} `;
    if (!before) d.ground += `M${(from = x(slot.start))} ${HEIGHT}`;
    d.ground += `V${y(running)}H${x(slot.end)}`;
    d.running += `${joint ? `${joint}${y(running)}` : `V${y(running)}`}H${x(slot.end)}`;
    d.pending += `${joint ? `${joint}${y(pending)}` : `V${y(pending)}`}H${x(slot.end)}`;
    before = slot;
  }
  if (before) d.ground += `V${HEIGHT}H${from}Z`;
  return d;
}

/** @param {number} number */
const round = (number) => Math.round(number * 10) / 10;

/** The picture in words. @param {string} subject @param {Shown} shown */
export function summary(subject, { slots, range, skew, loading }) {
  if (loading) return `${subject} over ${range.words}: loading.`;
  const known = slots.filter(({ running }) => running !== null);
  const last = slots.at(-1);
  if (known.length === 0 || !last) return `${subject} over ${range.words}: not known.`;
  const at = (/** @type {"running" | "pending"} */ kind) => {
    const most = known.reduce((most, slot) => (Number(slot[kind]) > Number(most[kind]) ? slot : most));
    return `most ${kind} ${Number(most[kind]).toLocaleString()}${most[kind] ? ` on ${WHEN.format(most.start - skew)}` : ""}`;
  };
  const present = last.running === null ? "now not known" : `now ${last.running.toLocaleString()} running and ${(last.pending ?? 0).toLocaleString()} pending`;
  const changes = slots.reduce((sum, { transitions }) => sum + transitions, 0);
  const gaps = known.length < slots.length ? "; part of it is not known" : "";
  return `${subject} over ${range.words}: ${present}; ${at("running")}; ${at("pending")}; ${changes.toLocaleString()} changes${gaps}.`;
}

/** @param {Slot} slot @param {Shown} shown */
function described({ start, end, running, pending, transitions }, { skew, range }) {
  const until = range.slot < DAY ? CLOCK.format(end - skew) : WHEN.format(end - skew);
  const when = `${WHEN.format(start - skew)} – ${until}`;
  if (running === null || pending === null) return [when, "Not known"];
  return [when, `${running.toLocaleString()} running`, `${pending.toLocaleString()} pending`, `${transitions.toLocaleString()} ${transitions === 1 ? "change" : "changes"}`];
}
