import { html, setAttributes, setText } from "./dom.js";
import { icon } from "./icons.js";
import { SHAPE, RANKED, counted } from "./levels.js";

/**
 * @typedef {import("./levels.js").Level} Level
 * @typedef {import("./levels.js").Tally} Tally
 * @typedef {Level | "loading" | "absent" | "unset"} State
 */

const WORST = {
  critical: "Something needs attention",
  warning: "Something may need attention",
  unknown: "Part of it is not known",
  processing: "Work is in progress",
  ok: "All is well",
};

/** The worst of all sections, and a link to each with its counts: what is not known is never hidden behind what is well. */
export class Overview {
  /** @type {Map<string, { state: State, tally: Tally }>} */ #told = new Map();
  /** @type {Map<string, ReturnType<typeof line>>} */ #lines = new Map();

  /** @param {HTMLElement} card */
  constructor(card) {
    this.card = card;
    this.worst = /** @type {HTMLElement} */ (card.querySelector(".worst"));
    this.list = /** @type {HTMLElement} */ (card.querySelector("ul"));
  }

  /** A place for the section, in order. @param {string} id @param {string} title */
  add(id, title) {
    const entry = line(id, title);
    this.#lines.set(id, entry);
    this.list.append(entry.root);
  }

  /** @param {string} id @param {State} state @param {Tally} tally */
  tell(id, state, tally) {
    this.#told.set(id, { state, tally });
    this.#lines.get(id)?.show(state, tally);
    const known = [...this.#told.values()].filter(({ state }) => !["loading", "absent", "unset"].includes(state));
    this.card.hidden = known.length === 0;
    const worst = RANKED.find((level) => known.some(({ state }) => state === level)) ?? "unknown";
    if (this.worst.getAttribute("data-level") !== worst) this.worst.replaceChildren(icon(SHAPE[worst]), WORST[worst]);
    setAttributes(this.worst, { "data-level": worst });
  }
}

/** @param {string} id @param {string} title */
function line(id, title) {
  const [mark, words] = [html("span", { class: "mark" }), html("span", { class: "counts" })];
  const root = html("li", { hidden: true }, html("a", { href: `#${id}` }, mark, html("span", { class: "title" }, title), words));
  /** @param {State} state @param {Tally} tally */
  const show = (state, tally) => {
    root.hidden = state === "loading" || state === "absent";
    if (state === "loading" || state === "absent") return;
    if (root.getAttribute("data-level") !== state) mark.replaceChildren(icon(state === "unset" ? state : SHAPE[state]));
    setAttributes(root, { "data-level": state });
    setText(words, said(state, tally));
  };
  return { root, show };
}

/** @param {State} state @param {Tally} tally */
function said(state, tally) {
  if (state === "unset") return "Not set up";
  return state === "unknown" && !tally.unknown ? "Not known" : counted(tally) || "Nothing in progress";
}
