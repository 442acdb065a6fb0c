/**
 * The frame of every part that shows the rows of one topic: a custom element of its own, on our page or on anybody's.
 *
 * Attributes of each: `server`, the Stability server's root (default: where this module came from); `state`, reflected, is the
 * worst of what is shown: loading, ok, processing, warning, critical, unknown, or absent where the server has no such topic;
 * `way`, reflected, tells how the rows come: loading, live, polling, lost, absent, refused. Event, which bubbles and crosses
 * shadow roots: `TAG-change` (`detail.state`). Slot `title`: a heading of yours, beside how and when the rows came. What stands
 * inside the tag otherwise is shown until its module runs.
 *
 * @typedef {"loading" | "ok" | "processing" | "warning" | "critical" | "unknown" | "absent"} Level
 *
 * @typedef {object} Body  what differs
 * @property {HTMLElement} root
 * @property {(view: import("./feed.js").View, base: string) => Level} show  the worst of it
 * @property {() => void} rest  nobody looks any more
 *
 * @typedef {object} Part
 * @property {string} tag
 * @property {string} title
 */
import { adopt, html, setAttributes, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { live } from "./live.js";
import { PART } from "./styles.js";
import { setTime } from "./times.js";

const PATIENCE = 500; // ms until waiting needs a word

const SAID = {
  loading: "Loading...",
  live: "",
  polling: "No live stream gets through: asked for from time to time.",
  lost: "Connection lost.",
  absent: "This server does not tell of them.",
  refused: "This server tells of them only to those who are signed in.",
};

/**
 * Defines the element and names the part for the page.
 * @param {string} tag
 * @param {{ title: string, topic: string, ask: import("./feed.js").Ask, css: string, body: (again: () => void) => Body }} what  `again` shows
 *   the same once more, since time passed
 * @returns {Part}
 */
export function definePart(tag, { title, topic, ask, css, body }) {
  class Element extends HTMLElement {
    static observedAttributes = ["server"];

    #body = body(() => this.#feed?.changed(this.#feed.view));
    #said = html("span");
    #time = html("time");
    #asOf = html("span", { class: "as-of", hidden: true }, "as of ", this.#time);
    #line = html("p", { class: "way", part: "way" }, this.#said, " ", this.#asOf);
    #header = html("header", {}, html("slot", { name: "title" }), this.#line);
    /** @type {Feed | null} */ #feed = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ #waiting;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      for (const sheet of [PART, css]) adopt(root.adoptedStyleSheets, sheet);
      root.append(this.#header, this.#body.root);
    }

    connectedCallback() {
      if (!this.#feed) this.#follow();
    }

    disconnectedCallback() {
      queueMicrotask(() => this.isConnected || this.#unfollow()); // one that only moves keeps its connection
    }

    attributeChangedCallback() {
      if (!this.#feed) return;
      this.#unfollow();
      this.#follow();
    }

    #follow() {
      const store = live(this.getAttribute("server") ?? undefined);
      this.#waiting = setTimeout(() => setAttributes(this.#line, { "data-waiting": true }), PATIENCE);
      this.#feed = new Feed(store, topic, ask, (view) => this.#show(view, store.base));
      this.#feed.start();
    }

    #unfollow() {
      clearTimeout(this.#waiting);
      this.#feed?.stop();
      this.#feed = null;
      this.#body.rest();
    }

    /** @param {import("./feed.js").View} view @param {string} base */
    #show(view, base) {
      const { way, asOf } = view;
      const nothing = way === "absent" || way === "refused" || (asOf === null && way !== "live");
      this.#body.root.hidden = nothing;
      const level = this.#body.show(view, base);
      setText(this.#said, SAID[way]);
      this.#asOf.hidden = nothing;
      if (asOf !== null) setTime(this.#time, asOf);
      const state = way === "loading" || way === "absent" ? way : nothing ? "unknown" : level;
      const before = this.getAttribute("state");
      setAttributes(this, { state, way });
      if (state !== before) this.dispatchEvent(new CustomEvent(`${tag}-change`, { bubbles: true, composed: true, detail: { state } }));
    }
  }

  // the module may be on a page twice, from two servers; the first one serves both
  if (!customElements.get(tag)) customElements.define(tag, Element);
  return Object.freeze({ tag, title });
}

const RANK = /** @type {Level[]} */ (["ok", "processing", "unknown", "warning", "critical"]);

/** Critical before warning before unknown before processing before ok. @param {Iterable<Level>} levels @returns {Level} */
export function worst(levels) {
  return [...levels].reduce((most, level) => (RANK.indexOf(level) > RANK.indexOf(most) ? level : most), RANK[0] ?? "ok");
}
