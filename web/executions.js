/**
 * `<execution-status>`: how many executions stand where, how that changed, and the latest changes. One tag on any page:
 *
 *     <script type="module" src="https://HOST/executions.js"></script>
 *     <execution-status></execution-status>
 *
 * Attributes and events are those of every part (see part.js). Parts: counts, chart, changes, way.
 */
import { Chart } from "./chart.js";
import { BadFrame, isRecord, moment, parseObject } from "./frames.js";
import { History, RANGES } from "./history.js";
import { html, setAttributes, setText } from "./dom.js";
import { icon } from "./icons.js";
import { Keyed } from "./keyed.js";
import { definePart } from "./part.js";
import { EXECUTIONS } from "./styles-parts.js";
import { setTime } from "./times.js";
import { spoken } from "./words.js";

/**
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./icons.js").Shape} Shape
 *
 * @typedef {object} Log  the newest of the log
 * @property {Readonly<Record<string, number>>} counts
 * @property {Record<string, unknown>[]} latest
 */

/** @type {readonly (readonly [status: string, shape: Shape, colour: string])[]} */
const COUNTS = [
  ["pending", "pending", "yellow"],
  ["ready", "pending", "blue"],
  ["running", "processing", "blue"],
  ["finished", "stable", "green"],
  ["failed", "critical", "red"],
  ["cancelled", "stopped", "grey"],
];
const FEW = 6; // changes that are shown at first
const MANY = 100_000; // from here on a count is told in short
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const KEY = "log";

/** @param {Row | undefined} row @returns {Log | null} */
function log(row) {
  if (!row || !isRecord(row.counts)) return null;
  const counts = Object.entries(row.counts).map(([status, count]) => [status, Number(count)]);
  return { counts: Object.fromEntries(counts), latest: Array.isArray(row.latest) ? row.latest.filter(isRecord) : [] };
}

class Executions {
  #counts = html("ul", { class: "tiles", role: "list", part: "counts", "aria-label": "Executions now" });
  #tiles = new Map(COUNTS.map((count) => [count[0], tile(...count)]));
  #ranges = html("div", { class: "ranges", role: "radiogroup", "aria-label": "Time shown" });
  #chart = new Chart("Executions");
  #changes = new Changes();
  #empty = html("p", { class: "empty", hidden: true }, "No executions yet.");
  #body = html("div", {}, this.#counts, this.#ranges, this.#chart.root, this.#changes.root);
  root = html("div", {}, this.#body, this.#empty);
  /** @type {History | null} */ #history = null;
  #range = /** @type {import("./history.js").RangeName} */ ("hour");
  #latest = "";

  constructor() {
    this.#counts.append(...[...this.#tiles.values()].map(({ root }) => root));
    const name = `range-${Math.random().toString(36).slice(2)}`;
    for (const [range, { label }] of Object.entries(RANGES)) {
      const radio = html("input", { type: "radio", name, value: range, checked: range === this.#range });
      radio.addEventListener("change", () => this.#choose(/** @type {import("./history.js").RangeName} */ (range)));
      this.#ranges.append(html("label", {}, radio, html("span", {}, label)));
    }
  }

  /** @param {import("./feed.js").View} view @param {string} base @returns {import("./part.js").Level} */
  show({ way, rows, asOf, skew }, base) {
    const told = log(rows.get(KEY));
    const counts = told?.counts ?? {};
    const some = Object.values(counts).some((count) => count > 0) || Boolean(told?.latest.length);
    this.#body.hidden = !told || !some;
    this.#empty.hidden = !told || some;
    for (const [status, { show }] of this.#tiles) show(told && (counts[status] ?? 0));
    this.#changes.show(told?.latest ?? [], skew);
    if (some) this.#draw(base, way === "live" ? null : asOf, skew, `${told?.latest[0]?.id} ${Object.values(counts)}`, counts);
    if (!told || way === "lost") return "unknown";
    return (counts.pending ?? 0) + (counts.ready ?? 0) + (counts.running ?? 0) > 0 ? "processing" : "ok";
  }

  /**
   * @param {string} base @param {number | null} asOf  null: now @param {number} skew @param {string} latest
   * @param {Log["counts"]} counts
   */
  #draw(base, asOf, skew, latest, counts) {
    this.#history ??= new History(base, (shown) => this.#chart.show(shown));
    this.#history.now(counts, asOf === null ? null : asOf + skew, skew);
    if (latest !== this.#latest) this.#history.ask(this.#range);
    this.#latest = latest;
  }

  /** @param {import("./history.js").RangeName} range */
  #choose(range) {
    this.#range = range;
    this.#history?.choose(range);
  }

  rest() {
    this.#history?.stop();
    this.#history = null;
    this.#latest = "";
  }
}

/** @param {string} status @param {Shape} shape @param {string} colour */
function tile(status, shape, colour) {
  const number = html("span", { class: "number" });
  const root = html("li", { "data-status": status, "data-colour": colour }, number, icon(shape), html("span", { class: "kind" }, spoken(status)));
  /** @param {number | null} count  null: not known */
  const show = (count) => {
    setText(number, count === null ? "–" : count < MANY ? count.toLocaleString() : SHORT.format(count));
    setAttributes(number, { title: count !== null && count >= MANY && count.toLocaleString() });
    setAttributes(root, { "data-none": count === 0 });
  };
  return { root, show };
}

/** "Which execution, from what, to what", newest first. */
class Changes {
  #list = html("ul", { role: "list" });
  #more = html("button", { type: "button", hidden: true, "aria-expanded": "false" });
  root = html("div", { class: "changes", part: "changes", role: "group", "aria-label": "Latest changes" },
    html("p", { class: "caption", "aria-hidden": "true" }, "Latest changes"), this.#list, this.#more);
  #items = new Keyed(this.#list, change);
  #all = false;
  /** @type {Record<string, unknown>[]} */ #latest = [];
  #skew = 0;

  constructor() {
    this.#more.addEventListener("click", () => {
      this.#all = !this.#all;
      this.show(this.#latest, this.#skew);
    });
  }

  /** @param {Record<string, unknown>[]} latest @param {number} skew */
  show(latest, skew) {
    [this.#latest, this.#skew] = [latest, skew];
    this.root.hidden = latest.length === 0;
    this.#items.show(new Map(latest.slice(0, this.#all ? undefined : FEW).map((each) => [String(each.id), { ...each, skew }])));
    this.#more.hidden = latest.length <= FEW;
    setAttributes(this.#more, { "aria-expanded": String(this.#all) });
    setText(this.#more, this.#all ? "Show fewer" : `Show ${latest.length}`);
  }
}

/** @returns {import("./keyed.js").View<Record<string, unknown>>} */
function change() {
  const [name, from, to, when] = [html("span", { class: "name" }), html("span"), html("span", { class: "to" }), html("time", { class: "quiet" })];
  const way = html("span", { class: "step" }, from, html("span", { "aria-hidden": "true" }, " → "), html("span", { class: "unseen" }, " to "), to);
  const root = html("li", {}, name, way, when);
  /** @param {Record<string, unknown>} each */
  const show = (each) => {
    const words = each.execution_id === null || each.execution_id === undefined ? "All executions" : `#${each.execution_id}`;
    const named = typeof each.name === "string" && each.name ? `${words} ${each.name}` : words;
    setText(name, named);
    setAttributes(name, { title: named });
    setText(from, each.status_from ? word(each.status_from) : each.status_to ? "New" : "Counted");
    setText(to, each.status_to ? word(each.status_to) : each.status_from ? "Deleted" : "anew");
    setAttributes(to, { "data-colour": COUNTS.find(([status]) => status === String(each.status_to).toLowerCase())?.[2] ?? "grey" });
    const at = moment(each.timestamp);
    when.hidden = at === null;
    if (at !== null) setTime(when, at - Number(each.skew));
  };
  return { root, show };
}

/** @param {unknown} status */
const word = (status) => spoken(String(status).toLowerCase());

/** The answer of GET /api/v1/status: its newest row has the counts. @param {string} answer @returns {Record<string, Row>} */
function parse(answer) {
  const { data } = parseObject(answer);
  if (!Array.isArray(data)) throw new BadFrame("no `data`");
  const latest = data.filter(isRecord);
  const counts = COUNTS.map(([status]) => [status, Number(latest[0]?.[`executions_${status}`] ?? 0)]);
  return { [KEY]: { counts: Object.fromEntries(counts), latest } };
}

export const PART = definePart("execution-status", {
  title: "Executions",
  topic: "executions",
  ask: {
    path: "api/v1/status?per_page=20",
    parse,
    busy: (rows) => Boolean(log(rows.get(KEY))?.counts.running),
  },
  css: EXECUTIONS,
  tally: (rows) => {
    const { pending = 0, ready = 0, running = 0 } = log(rows.get(KEY))?.counts ?? {};
    return { processing: pending + ready + running }; // what is over calls for nobody any more
  },
  sift: (rows, keep) => {
    const [row, latest] = [rows.get(KEY), log(rows.get(KEY))?.latest ?? []];
    const kept = latest.filter((each) => keep({ ...each, status: each.status_to }));
    return { rows: new Map(row ? [[KEY, { ...row, latest: kept }]] : []), shown: kept.length, size: latest.length };
  },
  body: () => new Executions(),
});
