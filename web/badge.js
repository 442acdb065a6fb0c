import { html, setText } from "./dom.js";
import { icon } from "./icons.js";
import { Tooltip } from "./tooltip.js";
import { WORDS } from "./words.js";

const STATES = /** @type {import("./words.js").State[]} */ (Object.keys(WORDS));

/** The badge itself: a button with icon and words. All four texts lie in one cell, so its width never changes. */
export class Badge {
  button = html(
    "button",
    { type: "button", part: "badge", class: "badge", "aria-haspopup": "dialog", "aria-describedby": "tooltip", "data-state": "loading" },
    html("span", { class: "stack", part: "icon" }, ...STATES.map(icon)),
    html("span", { class: "stack", part: "text" }, ...STATES.map((state) => html("span", { "data-for": state }, WORDS[state].text))),
  );
  #tooltip = new Tooltip(this.button);
  root = html("span", { class: "anchor" }, this.button, this.#tooltip.bubble);

  /** @param {import("./words.js").State} state */
  show(state) {
    this.button.dataset.state = state;
    setText(this.#tooltip.bubble, WORDS[state].tooltip);
  }
}
