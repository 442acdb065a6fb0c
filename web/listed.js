import { html, setAttributes, setText } from "./dom.js";
import { Keyed } from "./keyed.js";
import { RANKED } from "./levels.js";

/**
 * A list by name that stays quick however long it is: of more than a hundred items it shows those that need somebody first, and
 * a button that shows all.
 *
 * @template Item
 * @typedef {import("./keyed.js").View<Item>} View
 */

const MANY = 100; // shown unless more are asked for
const SLICE = 25; // built in one go
const NAMES = new Intl.Collator(undefined, { numeric: true });

/** @template {{ name: string }} Item */
export class Listed {
  more = html("button", { type: "button", class: "more", part: "more", hidden: true, "aria-expanded": "false" });
  /** @type {Keyed<Item>} */ #items;
  /** @type {Map<string, string>} */ #names = new Map();
  /** @type {Map<string, number>} */ #places = new Map();
  /** @type {readonly (readonly [string, Item])[]} */ #found = [];
  #all = false;
  #most = SLICE;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #growing;

  /** @param {HTMLElement} list @param {() => View<Item>} view @param {(item: Item) => import("./part.js").Level} level */
  constructor(list, view, level) {
    this.#items = new Keyed(list, view);
    this.level = level;
    this.more.addEventListener("click", () => {
      this.#all = !this.#all;
      this.#show();
    });
  }

  /** @param {readonly (readonly [string, Item])[]} found  in any order */
  show(found) {
    this.#found = this.#ordered(found);
    this.#show();
  }

  #show() {
    clearTimeout(this.#growing);
    const size = this.#found.length;
    const wanted = this.#all ? size : Math.min(size, MANY);
    this.#most = Math.max(SLICE, Math.min(this.#most, wanted));
    this.#items.show(new Map(this.#found.slice(0, this.#most)));
    this.more.hidden = size <= MANY;
    setAttributes(this.more, { "aria-expanded": String(this.#all) });
    setText(this.more, this.#all ? "Show fewer" : `Show all ${size.toLocaleString()}`);
    if (this.#most < wanted) this.#growing = setTimeout(() => this.#grow());
  }

  /** In slices, between which the page answers. */
  #grow() {
    this.#most += SLICE;
    this.#show();
  }

  /** @param {readonly (readonly [string, Item])[]} found */
  #ordered(found) {
    if (found.length !== this.#names.size || found.some(([key, { name }]) => this.#names.get(key) !== name)) this.#sort(found);
    /** @param {readonly [string, Item]} each */
    const place = ([key]) => this.#places.get(key) ?? 0;
    const ordered = [...found].sort((one, other) => place(one) - place(other));
    if (ordered.length <= MANY) return ordered;
    const ranked = ordered.map((each) => /** @type {const} */ ([RANKED.indexOf(/** @type {import("./levels.js").Level} */ (this.level(each[1]))), each]));
    return ranked.sort(([one], [other]) => one - other).map(([, each]) => each);
  }

  /** Comparing names is what takes time. @param {readonly (readonly [string, Item])[]} found */
  #sort(found) {
    this.#names = new Map(found.map(([key, { name }]) => [key, name]));
    const sorted = [...this.#names].sort(([key, name], [otherKey, otherName]) => NAMES.compare(name, otherName) || NAMES.compare(key, otherKey));
    this.#places = new Map(sorted.map(([key], place) => [key, place]));
  }
}
