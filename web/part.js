/**
 * The frame of every part that shows the rows of one topic: a custom element of its own, on our page or on anybody's.
 *
 * Attributes of each: `server`, the Stability server's root (default: where this module came from); `filter`, what is typed and
 * chosen in its filter, as in `is:critical web`; `state`, reflected, is the
 * worst of what is shown: loading, ok, processing, warning, critical, unknown, absent where the server has no such topic, or
 * unset where nobody set up what it tells of;
 * `way`, reflected, tells how the rows come: loading, live, polling, held, lost, absent, refused. Event, which bubbles and crosses
 * shadow roots: `TAG-change` (`detail.state`, and `detail.tally`: how many there are of each level), and `TAG-filter` where somebody changed the
 * filter. Slot `title`: a heading of yours, beside how and when the rows came. What stands
 * inside the tag otherwise is shown until its module runs.
 *
 * @typedef {"loading" | "ok" | "processing" | "warning" | "critical" | "unknown" | "absent" | "unset"} Level
 *
 * @typedef {object} Body  what differs
 * @property {HTMLElement} root
 * @property {(view: import("./feed.js").View, base: string) => Level} show  the worst of it
 * @property {() => void} rest  nobody looks any more
 *
 * @typedef {ReadonlyMap<string, import("./rows.js").Row>} Rows
 * @typedef {(rows: Rows, keep: (row: import("./rows.js").Row) => boolean) => { rows: Rows, shown: number, size: number }} Sift
 *
 * @typedef {object} Part
 * @property {string} tag
 * @property {string} title
 */
import { adopt, html, setAttributes, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { Filter } from "./filter.js";
import { RANKED, levelOf, tallied } from "./levels.js";
import { live } from "./live.js";
import { PART } from "./styles.js";
import { setTime } from "./times.js";

const PATIENCE = 500; // ms until waiting needs a word

const SAID = {
  loading: "Loading...",
  live: "",
  polling: "No live stream gets through: asked for from time to time.",
  held: "Not followed.",
  lost: "Connection lost.",
  paused: "Paused: not known any more.",
  away: "The server has lost its database.",
  unread: "The server cannot read them.",
  absent: "This server does not tell of them.",
  refused: "This server tells of them only to those who are signed in.",
};

/**
 * Defines the element and names the part for the page.
 * @param {string} tag
 * @param {object} what
 * @param {string} what.title
 * @param {string} what.topic
 * @param {import("./feed.js").Ask} what.ask
 * @param {string} what.css
 * @param {(again: () => void) => Body} what.body  `again` shows the same once more, since time passed
 * @param {(rows: Rows, now: number) => import("./levels.js").Tally} [what.tally]  how many there are of each level, where rows are something else
 * @param {Sift} [what.sift]  the rows that are to be shown, and among how many, where rows are something else
 * @returns {Part}
 */
export function definePart(tag, { title, topic, ask, css, body, tally, sift = siftRows }) {
  class Element extends HTMLElement {
    static observedAttributes = ["server", "filter"];

    #body = body(() => this.#feed?.changed(this.#feed.view));
    #said = html("span");
    #time = html("time");
    #asOf = html("span", { class: "as-of", hidden: true }, "as of ", this.#time);
    #line = html("p", { class: "way", part: "way" }, this.#said, " ", this.#asOf);
    #header = html("header", {}, html("slot", { name: "title" }), this.#line);
    #filter = new Filter(title, () => this.#filtered());
    #none = html("p", { class: "empty", role: "status" });
    #told = "";
    /** @type {Feed | null} */ #feed = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */ #waiting;

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      for (const sheet of [PART, css]) adopt(root.adoptedStyleSheets, sheet);
      root.append(this.#header, this.#filter.root, this.#none, this.#body.root);
    }

    connectedCallback() {
      if (!this.#feed) this.#follow();
    }

    disconnectedCallback() {
      queueMicrotask(() => this.isConnected || this.#unfollow()); // one that only moves keeps its connection
    }

    /** @param {string} name @param {string | null} _before @param {string | null} value */
    attributeChangedCallback(name, _before, value) {
      if (name === "filter") {
        if ((value ?? "") === this.#filter.text) return;
        this.#filter.text = value ?? "";
        this.#feed?.changed(this.#feed.view);
        return;
      }
      if (!this.#feed) return;
      this.#unfollow();
      this.#follow();
    }

    #filtered() {
      setAttributes(this, { filter: this.#filter.text || null });
      this.#feed?.changed(this.#feed.view);
      this.dispatchEvent(new CustomEvent(`${tag}-filter`, { bubbles: true, composed: true }));
    }

    #follow() {
      const store = live(this.getAttribute("server") ?? undefined);
      this.#waiting = setTimeout(() => setAttributes(this.#line, { "data-waiting": true }), PATIENCE);
      this.#feed = new Feed(store, topic, ask, (view) => this.#show(view, store));
      this.#feed.start();
    }

    #unfollow() {
      clearTimeout(this.#waiting);
      this.#feed?.stop();
      this.#feed = null;
      this.#body.rest();
    }

    /** @param {import("./feed.js").View} view @param {ReturnType<typeof live>} store */
    #show(view, store) {
      const { base } = store;
      const { way, asOf } = view;
      const nothing = way === "absent" || way === "refused" || (asOf === null && way !== "live");
      const now = Date.now() + view.skew;
      const found = this.#filter.active ? sift(view.rows, this.#filter.keep(now)) : sift(view.rows, () => true);
      const counts = nothing ? {} : (tally?.(view.rows, now) ?? tallied([...view.rows.values()].map((row) => levelOf(row, now))));
      this.#filter.show(nothing ? 0 : found.size, counts);
      const none = this.#filter.active && found.shown === 0 && found.size > 0;
      setText(this.#none, none && !nothing ? "Nothing matches the filter." : "");
      this.#body.root.hidden = nothing || none;
      const shown = this.#body.show(this.#filter.active ? { ...view, rows: found.rows } : view, base);
      const why = way === "lost" ? whyLost(store.snapshot) : way;
      const unknown = why === "unread" || (this.#filter.active && way === "lost");
      const level = unknown ? "unknown" : this.#filter.active && found.size > 0 ? most(counts) : shown;
      setText(this.#said, SAID[why]);
      this.#asOf.hidden = nothing;
      if (asOf !== null) setTime(this.#time, asOf);
      this.#tell(way === "loading" || way === "absent" ? way : nothing ? "unknown" : level, way, counts);
    }

    /** @param {Level} state @param {string} way @param {import("./levels.js").Tally} tally */
    #tell(state, way, tally) {
      setAttributes(this, { state, way });
      const told = `${state} ${RANKED.map((level) => tally[level])}`;
      if (told === this.#told) return;
      this.#told = told;
      this.dispatchEvent(new CustomEvent(`${tag}-change`, { bubbles: true, composed: true, detail: { state, tally } }));
    }
  }

  // the module may be on a page twice, from two servers; the first one serves both
  if (!customElements.get(tag)) customElements.define(tag, Element);
  return Object.freeze({ tag, title });
}

/** @param {import("./snapshot.js").Snapshot} snapshot */
function whyLost({ transport, listener }) {
  if (transport === "live") return listener === "lost" ? "away" : "unread";
  return transport === "paused" ? "paused" : "lost";
}

/** @type {Sift} */
function siftRows(rows, keep) {
  const kept = new Map([...rows].filter(([, row]) => keep(row)));
  return { rows: kept, shown: kept.size, size: rows.size };
}

/** Critical before warning before unknown before processing before ok. @param {Iterable<Level>} levels @returns {Level} */
export function worst(levels) {
  return most(tallied(/** @type {Iterable<import("./levels.js").Level>} */ (levels)));
}

/** @param {import("./levels.js").Tally} tally @returns {Level} */
const most = (tally) => RANKED.find((level) => tally[level]) ?? "ok";
