/**
 * `<service-status>`: the services of a Consul, how each is now, and how it was over the last 24 hours. One tag on any page:
 *
 *     <script type="module" src="https://HOST/services.js"></script>
 *     <service-status></service-status>
 *
 * Statuses follow the stream; list and charts are fetched at first, by the button, and as often as Auto-refresh says.
 * Attributes and events are those of every part (see part.js). Parts: tools, table, name, status, history, way.
 */
import { Bars, Pointer } from "./bars.js";
import { asTable, html, setAttributes, setText } from "./dom.js";
import { failure } from "./failure.js";
import { BadFrame, isRecord, moment, parseObject } from "./frames.js";
import { freshness } from "./freshness.js";
import { Listed } from "./listed.js";
import { level, levelOf, tallied } from "./levels.js";
import { definePart, worst } from "./part.js";
import { parseHistories } from "./service-history.js";
import { ServiceNumbers } from "./services-numbers.js";
import { Tools } from "./services-tools.js";
import { SERVICES } from "./styles-services.js";
import { clock, setTime } from "./times.js";
import { unset } from "./unset.js";

/**
 * @typedef {import("./part.js").Level} Level
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./service-history.js").Past} Past
 *
 * @typedef {object} Service
 * @property {string} key
 * @property {string} name
 * @property {string} status  what may still be claimed
 * @property {string} note  what it was, where that is old
 * @property {string | null} url
 * @property {string} tags
 * @property {string} failing  the checks that are not passing
 * @property {Past | null} past
 */

const CONSUL = "consul"; // the row that says as of when all others are so
const AWAY = "Consul connection failed - showing cached data";
const PATIENCE = 15_000; // ms that an answer may take
const LONGEST_TIMER = 2 ** 31 - 1;
const MARKS = /** @type {Readonly<Record<string, string>>} */ ({ passing: "🟢", warning: "🟡", critical: "🔴" });

class Services {
  #tools = new Tools({ refresh: () => void this.#refresh(), changed: () => this.#plan() });
  #counts = html("p", { class: "counts", part: "counts" });
  #asOf = html("time");
  #fetched = html("p", { class: "quiet", hidden: true }, "List and history fetched ", this.#asOf);
  #away = html("p", { class: "error", role: "status" });
  #error = html("p", { class: "error", role: "status" });
  #body = html("tbody");
  #table = asTable(html("table", { part: "table", hidden: true }, html("thead", {}, html("tr", {},
    ...["Service Name", "Status", "URL", "Tags", "24h History"].map((word) => html("th", { scope: "col" }, word)))), this.#body));
  #empty = html("p", { class: "empty", hidden: true }, "No services found");
  #unset = unset("Set", "CONSUL_HTTP_ADDR", " to the address of a Consul, and its services are shown here.");
  #pointer = new Pointer((bars) => this.#numbers.choose(bars));
  #numbers = new ServiceNumbers();
  #items = new Listed(this.#body, () => this.#row(), (/** @type {Service} */ { status }) => level(status));
  root = html("div", { class: "services" }, this.#tools.root, this.#away, this.#error, this.#counts,
    html("div", { class: "scroll" }, this.#table), this.#items.more, this.#empty, this.#unset, this.#numbers.root, this.#fetched, this.#pointer.root);
  #sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) this.#drawn.get(target)?.see(isIntersecting);
  }, { rootMargin: "200px" });
  /** @type {WeakMap<Element, Bars>} */ #drawn = new WeakMap();
  /** @type {Map<string, Row> | null} */ #list = null;
  /** Of a service that has none. @type {Past | null} */ #none = null;
  /** @type {Map<string, Past>} */ #pasts = new Map();
  /** @type {import("./feed.js").View | null} */ #view = null;
  /** @type {string | null} */ #base = null;
  /** @type {AbortController | null} */ #asking = null;
  #triedAt = -Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #ageing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #planned;

  /** @param {() => void} again */
  constructor(again) {
    this.again = again;
  }

  /** @param {import("./feed.js").View} view @param {string} base @returns {Level} */
  show(view, base) {
    const before = this.#view;
    this.#view = view;
    if (view.paused && view.looks !== before?.looks && this.#base && !this.#asking) void this.#refresh();
    else if (view.paused !== before?.paused) this.#plan();
    if (this.#base !== base && view.way !== "absent" && view.way !== "refused") this.#begin(base);
    return this.#show();
  }

  /** @param {string} base */
  #begin(base) {
    this.#base = base;
    const begun = new AbortController();
    this.#asking = begun;
    void this.#tools.load(base, AbortSignal.any([begun.signal, AbortSignal.timeout(PATIENCE)])).then(() => {
      if (!begun.signal.aborted) void this.#refresh();
    });
    document.addEventListener("visibilitychange", this.#visibility);
  }

  rest() {
    this.#asking?.abort();
    this.#asking = this.#base = null;
    clearTimeout(this.#ageing);
    clearTimeout(this.#planned);
    document.removeEventListener("visibilitychange", this.#visibility);
  }

  #visibility = () => document.visibilityState === "visible" && this.#plan(); // what came due meanwhile comes now

  /** When the next refresh is due. */
  #plan() {
    clearTimeout(this.#planned);
    const { every } = this.#tools;
    if (every === null || this.#asking || this.#view?.paused || document.visibilityState === "hidden") return;
    this.#planned = setTimeout(() => void this.#refresh(), Math.max(0, this.#triedAt + every - performance.now()));
  }

  /** List and charts anew; what is shown stays until they are there. */
  async #refresh() {
    const base = this.#base;
    if (!base) return;
    this.#asking?.abort();
    clearTimeout(this.#planned);
    const asking = new AbortController();
    this.#asking = asking;
    this.#triedAt = performance.now();
    this.#tools.busy(true);
    const signal = AbortSignal.any([asking.signal, AbortSignal.timeout(PATIENCE)]);
    const history = `api/services/history?granularity=${this.#tools.granularity}`;
    const [list, past] = await Promise.allSettled([ask(base, "api/services", parse, signal), ask(base, history, parseHistories, signal)]);
    const failed = [list, past].find((each) => each.status === "rejected");
    const why = failed ? await said(failed.reason, base) : "";
    if (asking.signal.aborted) return;
    this.#asking = null;
    this.#tools.busy(false);
    if (list.status === "fulfilled") this.#list = new Map(Object.entries(list.value));
    if (past.status === "fulfilled") this.#keep(past.value);
    setText(this.#error, why);
    this.#show();
    this.#plan();
  }

  /** @param {ReturnType<typeof parseHistories>} told */
  #keep({ length, services }) {
    const skew = this.#view?.skew ?? 0;
    const now = Date.now() + skew;
    this.#none = { slots: [], length, now, skew };
    this.#pasts = new Map([...services].map(([key, slots]) => [key, { slots, length, now, skew }]));
    setTime(this.#asOf, now - skew);
  }

  /** @returns {Level} */
  #show() {
    const view = this.#view;
    if (!view) return "unknown";
    const rows = view.way === "live" || view.way === "polling" || !this.#list ? view.rows : new Map([...this.#list, ...view.rows]);
    const consul = rows.get(CONSUL);
    const now = Date.now() + view.skew;
    const known = consul ? freshness(consul, now) : { freshness: "unknown", until: Infinity };
    const old = known.freshness === "unknown" ? moment(consul?.observed_at) : null;
    const found = [...rows].filter(([key]) => key !== CONSUL).map(([key, row]) => this.#service(key, row, old === null ? null : old - view.skew));
    const away = consul !== undefined && consul.available !== true && consul.configured === true;
    setText(this.#away, away ? AWAY : "");
    this.#items.show(found.map((each) => [each.key, each]));
    this.#numbers.show(found);
    this.#table.hidden = found.length === 0;
    const nobody = found.length === 0 && consul?.configured === false && !consul.observed_at;
    this.#unset.hidden = !nobody;
    this.#tools.root.hidden = nobody;
    this.#fetched.hidden = nobody || !this.#none;
    this.#empty.hidden = found.length > 0 || nobody || view.way === "loading" || view.way === "lost" || this.#error.textContent !== "";
    setText(this.#counts, counted(found));
    this.#age(known.until, now);
    if (nobody) return view.way === "lost" ? "unknown" : "unset";
    return found.length === 0 && !away ? "ok" : worst([...found.map(({ status }) => level(status)), ...(away ? [/** @type {Level} */ ("unknown")] : [])]);
  }

  /** @param {string} key @param {Row} row @param {number | null} old  when it was so, if that is too long ago @returns {Service} */
  #service(key, row, old) {
    const status = String(row.current_status ?? row.state ?? "unknown");
    const claimed = old === null || status === "gone" ? status : "unknown";
    const failing = Array.isArray(row.checks) ? row.checks.filter((check) => isRecord(check) && check.status !== "passing").map((check) => `${check.name}: ${check.status}`) : [];
    return {
      key,
      name: String(row.name ?? key),
      status: claimed,
      note: claimed === status || old === null ? "" : `${status}, as of ${clock(old)}`,
      url: link(row.url),
      tags: Array.isArray(row.tags) ? row.tags.join(", ") : "",
      failing: failing.join(", "),
      past: this.#pasts.get(key) ?? this.#none,
    };
  }

  /** Nobody tells that time passes. @param {number} until @param {number} now */
  #age(until, now) {
    clearTimeout(this.#ageing);
    if (until < Infinity) this.#ageing = setTimeout(this.again, Math.min(until - now + 1, LONGEST_TIMER));
  }

  /** @returns {import("./keyed.js").View<Service>} */
  #row() {
    const bars = new Bars(this.#pointer);
    const name = html("th", { scope: "row", class: "name", part: "name" });
    const mark = html("span", { "aria-hidden": "true" });
    const word = html("span", { class: "word" });
    const note = html("span", { class: "quiet" });
    const status = html("td", { class: "status", part: "status" }, mark, " ", word, " ", note);
    const anchor = html("a", { target: "_blank", rel: "noopener" });
    const url = html("td", { class: "url" });
    const tags = html("td", { class: "tags" });
    const history = html("td", { class: "history", part: "history" }, bars.root);
    const root = asTable(html("tr", {}, name, status, url, tags, history));
    this.#drawn.set(bars.root, bars);
    this.#sight.observe(bars.root);

    /** @param {Service} each */
    const show = (each) => {
      setText(name, each.name);
      setAttributes(name, { title: each.key });
      setText(mark, MARKS[each.status] ?? "⚪");
      setText(word, each.status);
      setText(note, each.note);
      setAttributes(status, { "data-status": each.status, title: each.failing || false });
      if (each.url) {
        setAttributes(anchor, { href: each.url, title: each.url });
        setText(anchor, each.url.replace(/^https?:\/\//, ""));
      }
      if (Boolean(each.url) !== anchor.isConnected) each.url ? url.append(anchor) : anchor.remove();
      setText(tags, each.tags);
      setAttributes(tags, { title: each.tags || false });
      bars.show(each.name, each.past);
    };
    return { root, show };
  }
}

/** "1 critical, 39 passing": what needs somebody first. @param {readonly Service[]} services */
function counted(services) {
  const order = ["critical", "warning", "unknown", "gone", "passing"];
  const counts = order.map((status) => [services.filter((each) => each.status === status).length, status]);
  return services.length > 1 ? counts.flatMap(([count, status]) => (count ? [`${count} ${status}`] : [])).join(", ") : "";
}

/** Only what a browser opens as a page. @param {unknown} url */
const link = (url) => (typeof url === "string" && /^https?:\/\//i.test(url) ? url : null);

/**
 * @template Told
 * @param {string} base @param {string} path @param {(text: string) => Told} parse @param {AbortSignal} signal
 */
async function ask(base, path, parse, signal) {
  const answer = await fetch(new URL(path, base), { cache: "no-cache", signal });
  if (answer.ok) return parse(await answer.text());
  const { error } = parseObject(await answer.text());
  throw new Refused(typeof error === "string" ? error : `HTTP error! status: ${answer.status}`);
}

/** The server answered, and said why there is nothing. */
class Refused extends Error {}

/** @param {unknown} reason @param {string} base */
async function said(reason, base) {
  return reason instanceof Refused ? reason.message : `Network error: ${await failure(reason, base)}`;
}

/** The answer of GET /api/services. @param {string} answer @returns {Record<string, Row>} */
function parse(answer) {
  const { services, consul_available } = parseObject(answer);
  if (!Array.isArray(services)) throw new BadFrame("no list of services");
  const rows = services.filter(isRecord);
  const newest = rows.reduce((most, row) => Math.max(most, moment(row.observed_at) ?? 0), 0);
  const seen = rows.find((row) => moment(row.observed_at) === newest && row.stale_after);
  const consul = { available: consul_available, configured: rows.length > 0 || consul_available || null, observed_at: seen?.observed_at, stale_after: seen?.stale_after };
  return { ...Object.fromEntries(rows.map((row) => [String(row.id), row])), [CONSUL]: consul };
}

export const PART = definePart("service-status", {
  title: "Services",
  topic: "services",
  ask: { path: "api/services", parse, busy: () => false },
  css: SERVICES,
  tally: (rows, now) => {
    const consul = rows.get(CONSUL);
    const lost = consul !== undefined && freshness(consul, now).freshness === "unknown";
    return tallied([...rows].filter(([key]) => key !== CONSUL).map(([, row]) => (lost ? "unknown" : levelOf(row, now))));
  },
  sift: (rows, keep) => {
    const kept = new Map([...rows].filter(([key, row]) => key === CONSUL || keep(row)));
    const about = Number(rows.has(CONSUL)); // no service, but what is known of them all
    return { rows: kept, shown: kept.size - about, size: rows.size - about };
  },
  body: (again) => new Services(again),
});
