/**
 * `<application-status>`: every application with what its containers do, as of when, and a button that asks for all anew:
 *
 *     <script type="module" src="https://HOST/applications.js"></script>
 *     <application-status></application-status>
 *
 * Attributes and events are those of every part (see part.js). Parts: refresh, message, away, figures, table,
 * status, way.
 */
import { failure } from "./failure.js";
import { BadFrame, isRecord, moment, parseObject } from "./frames.js";
import { freshness } from "./freshness.js";
import { asTable, html, setAttributes, setText } from "./dom.js";
import { Listed } from "./listed.js";
import { definePart, worst } from "./part.js";
import { APPLICATIONS } from "./styles-parts.js";
import { SETTLED, figures, uncertain } from "./figures.js";
import { TIMING } from "./timing.js";
import { unset } from "./unset.js";

/**
 * @typedef {import("./part.js").Level} Level
 * @typedef {import("./rows.js").Row} Row
 * @typedef {{ level: Level, icon: string, colour: string, words: string }} Look
 * @typedef {{ name: string, status: string, checkedAt: number | null, freshness: import("./freshness.js").Freshness }} Application
 */

/** @type {Readonly<Record<string, Look>>} */
const LOOKS = Object.freeze({
  running: { level: "ok", icon: "▶️", colour: "green", words: "Containers are active and accessible" },
  stopped: { level: "warning", icon: "⏹️", colour: "grey", words: "Containers exist but are not running" },
  not_created: { level: "warning", icon: "➕", colour: "yellow", words: "Compose file exists but no containers" },
  no_compose: { level: "critical", icon: "⚠️", colour: "red", words: "Missing docker-compose.yml file" },
});
/** @type {Look} */
const UNKNOWN = { level: "unknown", icon: "❓", colour: "grey", words: "Status being determined" };
const AWAY = "Docker is not reachable - showing cached statuses";
const REFRESHING = "Refreshing all application statuses from Docker...";

/** @param {string} status */
const look = (status) => LOOKS[status] ?? UNKNOWN;

/** What may still be claimed. @param {Application} application */
const shown = ({ status, freshness }) => (freshness === "unknown" ? "unknown" : status);

class Applications {
  #spinner = html("span", { class: "spinner", "aria-hidden": "true", hidden: true });
  #button = html("button", { type: "button", part: "refresh" }, this.#spinner, "Refresh all");
  #message = html("p", { class: "message", part: "message", role: "status" });
  #away = html("p", { class: "away", part: "away", role: "status" });
  #body = html("tbody");
  #table = asTable(html("table", { part: "table" }, head(), this.#body));
  #empty = html("p", { class: "empty", hidden: true }, "No applications.");
  #unset = unset("Set", "DOCKER_HOST", " to the address of a container engine, and this shows what applications' containers do.");
  #figures = html("p", { class: "figures", part: "figures", hidden: true });
  #line = html("div", { class: "line" }, this.#button, this.#message);
  #rows = new Listed(this.#body, line, (/** @type {Application} */ each) => look(shown(each)).level);
  root = html("div", {}, this.#line, this.#away, this.#unset, this.#figures, this.#table, this.#rows.more, this.#empty);
  #base = "";
  /** Whether the server has an engine to ask; undefined until it was asked, null where it did not say. @type {boolean | null | undefined} */ #engine;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #ageing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #asking;

  /** @param {() => void} again */
  constructor(again) {
    this.again = again;
    this.#button.addEventListener("click", () => void this.#refresh());
  }

  /** @param {import("./feed.js").View} view @param {string} base @returns {Level} */
  show({ rows, skew, way, beside }, base) {
    this.#base = base;
    if (way === "polling") this.#tell(beside);
    else if (way === "live" && !this.#asking) void this.#ask();
    const now = Date.now() + skew;
    const found = [...rows].map(([key, row]) => /** @type {const} */ ([key, application(row, now)]));
    this.#rows.show(found);
    const nobody = this.#engine === false && found.every(([, { checkedAt, freshness }]) => checkedAt === null || freshness !== "fresh");
    this.#unset.hidden = !nobody;
    this.#line.hidden = nobody && found.length === 0;
    this.#empty.hidden = found.length > 0 || nobody;
    this.#table.hidden = found.length === 0;
    this.#figures.hidden = found.length === 0 || !this.#figures.textContent;
    clearTimeout(this.#ageing);
    const next = Math.min(...[...rows.values()].map((row) => freshness(row, now).until));
    if (next < Infinity) this.#ageing = setTimeout(this.again, Math.min(next - now + 1, 2 ** 31 - 1));
    if (found.length === 0 && way === "live" && this.#engine === undefined) return "loading";
    if (found.length === 0 && nobody) return way === "lost" ? "unknown" : "unset";
    return worst(found.map(([, each]) => look(shown(each)).level));
  }

  rest() {
    clearTimeout(this.#ageing);
    clearTimeout(this.#asking);
    this.#asking = undefined;
  }

  /** The stream tells rows only: whether Docker answers, and the figures, are asked for, at a pace of their own, by a page that is looked at. */
  async #ask() {
    clearTimeout(this.#asking);
    const asking = (this.#asking = setTimeout(() => (this.#asking = undefined, this.again()), TIMING.applications));
    const told = document.hidden ? null : await asked(this.#base);
    if (asking !== this.#asking) return;
    this.#tell(told);
    this.again();
  }

  /** @param {unknown} told */
  #tell(told) {
    if (!isRecord(told)) return void (this.#engine ??= null);
    const { docker_connected: connected, docker_configured: configured, figures: counted } = told;
    this.#engine = typeof configured === "boolean" ? configured : null;
    const said = isRecord(counted) ? figures(counted) : "";
    setText(this.#away, connected === false && this.#engine !== false ? AWAY : "");
    setText(this.#figures, said);
    this.#figures.hidden = !said || this.#table.hidden;
  }

  async #refresh() {
    setAttributes(this.#button, { disabled: true, "aria-busy": "true" });
    this.#spinner.hidden = false;
    setText(this.#message, REFRESHING);
    setText(this.#message, await refreshed(this.#base));
    setAttributes(this.#button, { disabled: false, "aria-busy": null });
    this.#spinner.hidden = true;
    if (this.#asking) void this.#ask();
  }
}

/** What is told beside the rows, or null where nobody answers. @param {string} base */
async function asked(base) {
  try {
    const answer = await fetch(new URL("api/applications", base), { cache: "no-cache", signal: AbortSignal.timeout(TIMING.pollTimeout) });
    return answer.ok ? beside(await answer.text()) : null;
  } catch (error) {
    if (error instanceof BadFrame || error instanceof TypeError || error instanceof DOMException) return null;
    throw error;
  }
}

/** What came of it, in words. @param {string} base @returns {Promise<string>} */
async function refreshed(base) {
  try {
    const answer = await fetch(new URL("api/applications/refresh-all-statuses", base), { method: "POST" });
    const { message, error } = parseObject(await answer.text());
    return answer.ok ? String(message) : `Status refresh failed: ${error ?? answer.status}`;
  } catch (error) {
    return `Status refresh failed: ${await failure(error, base)}`;
  }
}

/** @param {Row} row @param {number} now  by the server's clock @returns {Application} */
function application(row, now) {
  return {
    name: `${row.model_slug} / app ${row.app_number}`,
    status: String(row.container_status ?? "unknown"),
    checkedAt: moment(row.last_status_check),
    freshness: freshness(row, now).freshness,
  };
}

function head() {
  const names = ["Application", "Status", "Last check"].map((name) => html("th", { scope: "col" }, name));
  return html("thead", {}, html("tr", {}, ...names));
}

/** @returns {import("./keyed.js").View<Application>} */
function line() {
  const [name, checked] = [html("th", { scope: "row" }), html("td")];
  const icon = html("span", { "aria-hidden": "true" });
  const [status, words] = [html("span", { class: "status" }), html("span", { class: "words" })];
  const old = html("span", { class: "old", hidden: true }, "Status may be outdated");
  const cell = html("td", { part: "status" }, icon, " ", status, " ", words, " ", old);
  /** @param {Application} each */
  const show = (each) => {
    const said = shown(each);
    const at = each.checkedAt === null ? "never" : new Date(each.checkedAt).toLocaleString();
    setText(name, each.name);
    setText(icon, look(said).icon);
    setText(status, said === each.status ? said : `unknown (${each.status}, as of ${at})`);
    setText(words, look(said).words);
    setText(checked, at);
    setAttributes(cell, { "data-colour": look(said).colour, title: `${look(said).words}. Last check: ${at}` });
    old.hidden = each.freshness === "fresh" && each.checkedAt !== null;
  };
  return { root: asTable(html("tr", {}, name, cell, checked)), show };
}

/** The answer of GET /api/applications. @param {string} answer @returns {Record<string, Row>} */
function parse(answer) {
  const { applications } = parseObject(answer);
  if (!Array.isArray(applications)) throw new BadFrame("no list of applications");
  return Object.fromEntries(applications.filter(isRecord).map((row) => [String(row.id), row]));
}

/** @param {string} answer */
const beside = (answer) => parseObject(answer);

/** Uncertain ones are asked for in every cycle, settled ones in every fifth. @type {NonNullable<import("./feed.js").Ask["wait"]>} */
const wait = (rows, { applications }) => applications * ([...rows.values()].some(uncertain) ? 1 : SETTLED);

export const PART = definePart("application-status", {
  title: "Applications",
  topic: "applications",
  ask: { path: "api/applications", parse, busy: () => false, wait, beside },
  css: APPLICATIONS,
  body: (again) => new Applications(again),
});
