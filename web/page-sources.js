import { html, setAttributes, setText } from "./dom.js";
import { icon } from "./icons.js";
import { counted, spoken } from "./words.js";

/** @typedef {import("./frames.js").Source} Source */

/** What is shown of a source while nothing proves what was told of it. @type {Source} */
const NOT_KNOWN = { active: null };

/**
 * One line for each watched source, kept and patched by its name. Sources once told of stay, as not known, while nobody tells.
 * @param {HTMLElement} card @param {import("./frames.js").Status | null} status
 */
export function showSources(card, status) {
  const list = /** @type {HTMLElement} */ (card.querySelector("ul"));
  const known = new Map([...list.children].map((line) => [String(line.getAttribute("data-source")), line]));
  const forgotten = Object.fromEntries([...known.keys()].map((name) => [name, NOT_KNOWN]));
  const told = status?.sources && (status.stable !== null || Object.keys(status.sources).length > 0);
  const sources = told ? status.sources : forgotten;
  const lines = Object.entries(sources ?? {}).map(([name, source]) => patched(known.get(name) ?? line(name), source));
  const same = lines.length === list.children.length && lines.every((each, place) => each === list.children[place]);
  if (!same) list.replaceChildren(...lines);
  card.hidden = lines.length === 0;
  /** @type {HTMLElement} */ (card.querySelector("header .quiet")).hidden = !told;
}

/** @param {string} name */
function line(name) {
  return html(
    "li",
    { "data-source": name },
    html("span", { class: "source" }, spoken(name)),
    html("span", { class: "count" }, html("span"), icon("unknown")),
    html("span", { class: "reason", hidden: true }),
  );
}

/** @param {Element} line @param {Source} source */
function patched(line, source) {
  const [, count, reason] = /** @type {[Element, Element, HTMLElement]} */ ([...line.children]);
  const state = source.active === null ? "unknown" : source.active ? "processing" : "stable";
  setText(/** @type {Element} */ (count.firstElementChild), counted(source));
  if (line.getAttribute("data-state") !== state) count.lastElementChild?.replaceWith(icon(state));
  setAttributes(line, { "data-state": state });
  reason.hidden = !source.error;
  setText(reason, source.error ?? "");
  return line;
}
