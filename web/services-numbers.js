import { html, setText } from "./dom.js";
import { STATUSES } from "./service-history.js";

/**
 * The history of one service as a table: of the one whose chart was looked at last, or that is chosen here.
 *
 * @typedef {{ key: string, name: string, past: import("./service-history.js").Past | null }} Named
 */

const WHEN = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });

export class ServiceNumbers {
  #select = html("select");
  #body = html("tbody");
  root = html("details", { class: "numbers", hidden: true }, html("summary", {}, "Show as table"),
    html("label", {}, "Service: ", this.#select),
    html("div", { class: "rows", tabindex: 0, role: "region", "aria-label": "History of a service" },
      html("table", {}, html("thead", {}, html("tr", {},
        ...["From", "Passing", "Warning", "Critical", "Unknown", "Samples"].map((word) => html("th", { scope: "col" }, word)))), this.#body)));
  /** @type {readonly Named[]} */ #services = [];

  constructor() {
    this.root.addEventListener("toggle", () => this.#show());
    this.#select.addEventListener("change", () => this.#tabulate());
  }

  /** @param {readonly Named[]} services */
  show(services) {
    this.#services = services;
    this.root.hidden = services.length === 0;
    this.#show();
  }

  /** @param {import("./bars.js").Bars} bars  whose history is looked at */
  choose(bars) {
    const found = this.#services.find(({ past }) => past !== null && past === bars.past);
    if (!found || !this.root.open) return;
    this.#select.value = found.key;
    this.#tabulate();
  }

  #show() {
    if (!this.root.open) return;
    const options = [...this.#select.options].map(({ value }) => value);
    if (options.join("\n") !== this.#services.map(({ key }) => key).join("\n")) {
      const before = this.#select.value;
      this.#select.replaceChildren(...this.#services.map(({ key, name }) => html("option", { value: key }, name === key ? name : `${name} (${key})`)));
      if (options.includes(before)) this.#select.value = before;
    }
    this.#tabulate();
  }

  #tabulate() {
    const past = this.#services.find(({ key }) => key === this.#select.value)?.past;
    const slots = past ? [...past.slots].reverse() : [];
    while (this.#body.rows.length > slots.length) this.#body.deleteRow(-1);
    while (this.#body.rows.length < slots.length) {
      this.#body.append(html("tr", {}, html("th", { scope: "row" }), ...[...STATUSES, "samples"].map(() => html("td"))));
    }
    slots.forEach((slot, place) => {
      const shares = STATUSES.map((status) => (slot.samples ? `${slot[status]}%` : "–"));
      [WHEN.format(slot.start - (past?.skew ?? 0)), ...shares, String(slot.samples)].forEach((cell, column) =>
        setText(/** @type {Element} */ (this.#body.rows[place]?.cells[column]), cell));
    });
  }
}
