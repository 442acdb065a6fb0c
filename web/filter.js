import { html, setAttributes, setText } from "./dom.js";
import { icon } from "./icons.js";
import { RANKED, SHAPE, levelOf, word } from "./levels.js";

/**
 * Which rows of a part are shown: those that have the words, and of the levels that were chosen. It is there where there is
 * something to choose from.
 *
 * @typedef {import("./rows.js").Row} Row
 * @typedef {import("./levels.js").Level} Level
 */

const FEW = 6; // rows that nobody needs to filter
const TIME = /^\d{4}-\d\d-\d\dT/; // nobody looks for a digit of a time

/** Every word of a row, those within lists and objects too: a check's name, say. @param {unknown} value @returns {string[]} */
export function told(value) {
  return typeof value === "object" ? Object.values(value ?? {}).flatMap(told) : [String(value ?? "")];
}

export class Filter {
  #words = html("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "Filter" });
  #levels = new Map(RANKED.map((level) => [level, this.#button(level)]));
  /** @type {Set<Level>} */ #chosen = new Set();
  root = html("div", { class: "filter", part: "filter", role: "group", hidden: true }, this.#words);

  /** @param {string} what  is filtered @param {() => void} changed */
  constructor(what, changed) {
    this.changed = changed;
    setAttributes(this.root, { "aria-label": `Filter ${what.toLowerCase()}` });
    setAttributes(this.#words, { "aria-label": `Filter ${what.toLowerCase()} by words` });
    this.root.append(...[...this.#levels.values()].map(({ root }) => root));
    this.#words.addEventListener("input", changed);
  }

  get active() {
    return this.#sought.length > 0 || this.#chosen.size > 0;
  }

  /** What is sought, as one writes it down: `is:LEVEL` for each level that was chosen, then the words. */
  get text() {
    return [...[...this.#chosen].map((level) => `is:${level}`), this.#words.value.trim()].filter(Boolean).join(" ");
  }

  set text(text) {
    const tokens = text.split(/\s+/);
    for (const [level, { root }] of this.#levels) this.#choose(level, root, tokens.includes(`is:${level}`));
    this.#words.value = tokens.filter((token) => !RANKED.some((level) => token === `is:${level}`)).join(" ").trim();
  }

  get #sought() {
    return this.#words.value.trim().toLowerCase();
  }

  /** @param {number} now @returns {(row: Row) => boolean} */
  keep(now) {
    const [sought, chosen] = [this.#sought, this.#chosen];
    return (row) => {
      if (chosen.size > 0 && !chosen.has(levelOf(row, now))) return false;
      if (sought.length === 0) return true;
      return told(row).some((word) => !TIME.test(word) && word.toLowerCase().includes(sought));
    };
  }

  /** @param {number} size @param {import("./levels.js").Tally} tally */
  show(size, tally) {
    this.root.hidden = size < FEW && !this.active;
    const levels = RANKED.filter((level) => tally[level]);
    for (const [level, { root, count }] of this.#levels) {
      root.hidden = (!tally[level] || levels.length < 2) && !this.#chosen.has(level);
      setText(count, `${(tally[level] ?? 0).toLocaleString()} ${word(level, tally[level] ?? 0)}`);
    }
  }

  /** @param {Level} level */
  #button(level) {
    const count = html("span");
    const root = html("button", { type: "button", class: "level", "aria-pressed": "false", "data-level": level, hidden: true }, icon(SHAPE[level]), count);
    root.addEventListener("click", () => {
      this.#choose(level, root, !this.#chosen.has(level));
      this.changed();
    });
    return { root, count };
  }

  /** @param {Level} level @param {HTMLElement} button @param {boolean} wanted */
  #choose(level, button, wanted) {
    if (wanted) this.#chosen.add(level);
    else this.#chosen.delete(level);
    setAttributes(button, { "aria-pressed": String(wanted) });
  }
}
