/**
 * `<deployment-status>`: what is deployed, how it is, and how far those have come that are being started. One tag on any page:
 *
 *     <script type="module" src="https://HOST/deployments.js"></script>
 *     <deployment-status></deployment-status>
 *
 * Attributes and events are those of every part (see part.js). Parts: counts, list, item, name, status, progress, way.
 */
import { BadFrame, isRecord, moment, parseObject } from "./frames.js";
import { freshness } from "./freshness.js";
import { html, setAttributes, setText } from "./dom.js";
import { icon } from "./icons.js";
import { level, levelOf } from "./levels.js";
import { Listed } from "./listed.js";
import { definePart, worst } from "./part.js";
import { DEPLOYMENTS } from "./styles-parts.js";
import { setMoment, setTime } from "./times.js";

/**
 * @typedef {import("./part.js").Level} Level
 * @typedef {import("./rows.js").Row} Row
 *
 * @typedef {object} Deployment
 * @property {string} name
 * @property {string} status
 * @property {Level} level
 * @property {string | null} message
 * @property {string | null} error
 * @property {number | null} observedAt  ms
 * @property {number | null} checkedAt  ms
 * @property {boolean} reported  it is what was said last, since nobody can be asked
 * @property {import("./freshness.js").Freshness} freshness
 *
 * @typedef {object} Look  of one status
 * @property {import("./icons.js").Shape} shape
 * @property {"green" | "red" | "yellow" | "blue" | "grey"} colour
 * @property {number} [progress]  percent
 */

/** @type {Readonly<Record<string, Look>>} */
const LOOKS = Object.freeze({
  pending: { shape: "pending", colour: "yellow", progress: 0 },
  installing: { shape: "processing", colour: "blue", progress: 33 },
  starting: { shape: "processing", colour: "blue", progress: 66 },
  running: { shape: "stable", colour: "green", progress: 100 },
  unhealthy: { shape: "warning", colour: "red" },
  failed: { shape: "critical", colour: "red" },
  stopped: { shape: "stopped", colour: "grey" },
});
/** @type {Look} */
const UNKNOWN = { shape: "unknown", colour: "grey" };
const ARRIVAL = 1_500; // ms that the full bar of a deployment that has just come up stays
const LONGEST_TIMER = 2 ** 31 - 1;

/** @param {string} status */
const look = (status) => LOOKS[status] ?? UNKNOWN;

/** @param {string} status */
const active = (status) => level(status) === "processing";

/** @param {Row} row @param {number} now  by the server's clock @returns {Deployment} */
function deployment(row, now) {
  return {
    name: String(row.name ?? row.id),
    status: String(row.status ?? "unknown"),
    level: levelOf(row, now),
    message: text(row.progress_message),
    error: text(row.error_message),
    observedAt: moment(row.observed_at) ?? moment(row.last_checked_at),
    checkedAt: moment(row.last_checked_at),
    reported: row.status === "stopped" && row.stale_after === null,
    freshness: freshness(row, now).freshness,
  };
}

/** @param {unknown} value */
const text = (value) => (typeof value === "string" && value ? value : null);

class Deployments {
  #counts = html("p", { class: "counts", part: "counts" });
  #list = html("ul", { role: "list", part: "list", "aria-label": "Deployments" });
  #empty = html("p", { class: "empty", hidden: true }, "No deployments.");
  #items = new Listed(this.#list, item, (/** @type {Deployment & { skew: number }} */ each) => each.level);
  root = html("div", {}, this.#counts, this.#list, this.#items.more, this.#empty);
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #ageing;

  /** @param {() => void} again */
  constructor(again) {
    this.again = again;
  }

  /** @param {import("./feed.js").View} view @returns {Level} */
  show(view) {
    const { rows, skew } = view;
    const now = Date.now() + skew;
    const found = [...rows].map(([key, row]) => /** @type {const} */ ([key, { ...deployment(row, now), skew }]));
    this.#items.show(found);
    this.#empty.hidden = found.length > 0;
    setText(this.#counts, found.length > 1 ? counted(found.map(([, each]) => shown(each))) : "");
    this.#age(view, now);
    return worst(found.map(([, each]) => each.level));
  }

  /** Nobody tells that time passes. @param {import("./feed.js").View} view @param {number} now */
  #age(view, now) {
    this.rest();
    const next = [...view.rows.values()].reduce((least, row) => Math.min(least, freshness(row, now).until), Infinity);
    if (next < Infinity) this.#ageing = setTimeout(this.again, Math.min(next - now + 1, LONGEST_TIMER));
  }

  rest() {
    clearTimeout(this.#ageing);
  }
}

/** What may still be claimed. @param {Deployment} deployment */
const shown = ({ status, freshness }) => (freshness === "unknown" ? "unknown" : status);

/** "1 failed, 12 running": what needs somebody first. @param {string[]} statuses */
function counted(statuses) {
  const order = ["failed", "unhealthy", "unknown", "pending", "installing", "starting", "stopped", "running"];
  const known = statuses.map((status) => (order.includes(status) ? status : "unknown"));
  const counts = order.map((status) => [known.filter((each) => each === status).length, status]);
  return counts.flatMap(([count, status]) => (count ? [`${count} ${status}`] : [])).join(", ");
}

/** @returns {import("./keyed.js").View<Deployment & { skew: number }>} */
function item() {
  const name = html("span", { class: "name", part: "name" });
  const status = html("span", { class: "status" });
  const chip = html("span", { class: "chip", part: "status" }, icon("unknown"), status);
  const bar = html("progress", { part: "progress", max: 100 });
  const message = html("p", { class: "message" });
  const progress = html("div", { class: "progress", hidden: true }, bar, message);
  const note = html("p", { class: "quiet" });
  const [ago, clock] = [html("time"), html("time")];
  const error = html("p", { class: "error" });
  const root = html("li", { part: "item" }, html("div", { class: "line" }, name, chip), progress, error, note);
  /** @type {string | null} */ let before = null;
  let arrivedAt = -Infinity;

  /** @param {Deployment & { skew: number }} each */
  const show = (each) => {
    const said = shown(each);
    const { shape, colour, progress: percent } = look(said);
    setText(name, each.name);
    setAttributes(name, { title: each.name });
    setText(status, said);
    if (chip.getAttribute("data-shape") !== shape) chip.firstElementChild?.replaceWith(icon(shape));
    setAttributes(chip, { "data-shape": shape, "data-colour": colour, "data-stale": each.freshness !== "fresh" });
    if (before !== null && active(before) && said === "running") arrive();
    before = said;
    progress.hidden = !active(said) && performance.now() - arrivedAt > ARRIVAL;
    setAttributes(bar, { value: percent ?? 0, "aria-label": `${each.name}: ${said}` });
    setText(message, each.message ?? "");
    message.hidden = !each.message;
    error.hidden = !each.error;
    setText(error, each.error ?? "");
    explain(note, each, ago, clock);
  };
  const arrive = () => {
    arrivedAt = performance.now();
    setTimeout(() => (progress.hidden = before === null || !active(before)), ARRIVAL);
  };
  return { root, show };
}

/**
 * When it was seen so, and what that means. @param {HTMLElement} note @param {Deployment & { skew: number }} each
 * @param {HTMLTimeElement} ago @param {HTMLTimeElement} clock
 */
function explain(note, { status, freshness, observedAt, checkedAt, reported, skew }, ago, clock) {
  const fresh = freshness === "fresh" && !reported;
  const when = fresh ? checkedAt : observedAt;
  if (when !== null) (fresh ? setTime : setMoment)(fresh ? ago : clock, when - skew);
  const kind = `${freshness} ${reported} ${status} ${when === null}`;
  if (note.getAttribute("data-kind") === kind) return;
  setAttributes(note, { "data-kind": kind });
  const wakes = status === "stopped" && freshness !== "unknown" ? ["will wake on next request"] : [];
  const seen = when === null ? [] : [fresh ? "checked " : `${status}, as of `, fresh ? ago : clock];
  note.replaceChildren(...wakes, ...(wakes.length && seen.length ? [" · "] : []), ...seen);
}

/** The answer of GET /api/deployments. @param {string} answer @returns {Record<string, Row>} */
function parse(answer) {
  const { deployments } = parseObject(answer);
  if (!Array.isArray(deployments)) throw new BadFrame("no list of deployments");
  return Object.fromEntries(deployments.filter(isRecord).map((row) => [String(row.id), row]));
}

export const PART = definePart("deployment-status", {
  title: "Deployments",
  topic: "deployments",
  ask: {
    path: "api/deployments",
    parse,
    busy: (rows) => [...rows.values()].some(({ status }) => active(String(status))),
  },
  css: DEPLOYMENTS,
  body: (again) => new Deployments(again),
});
