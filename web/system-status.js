/**
 * `<system-status>`: a live badge and, behind it, what is in progress. One tag on any page:
 *
 *     <script type="module" src="https://HOST/system-status.js"></script>
 *     <system-status></system-status>
 *
 * Attributes: `server`, the Stability server's root (default: where this module came from); `state`, reflected, is one of
 * loading, stable, processing, unknown. Events, which bubble and cross shadow roots: `system-status-change` (`detail.state`),
 * `system-status-open`, `system-status-close`. Parts: badge, icon, text, details, tooltip, dialog, title, close, body,
 * loading, error, work, progress, footer. Slot `details`: the words of the button. What stands inside the tag otherwise is shown
 * until this module runs. Custom properties: `--system-status-stable`, `-processing`, `-unknown`, `-radius`.
 */
import { Badge } from "./badge.js";
import { Display } from "./display.js";
import { adopt, html, setAttributes } from "./dom.js";
import { live } from "./live.js";
import { Modal } from "./modal.js";
import { stateOf } from "./snapshot.js";
import { BADGE, MODAL, WORK } from "./styles.js";
import { Voice } from "./voice.js";

export class SystemStatus extends HTMLElement {
  static observedAttributes = ["server"];

  #badge = new Badge();
  #details = html("button", { type: "button", part: "details", class: "details", "aria-haspopup": "dialog" });
  #modal = new Modal();
  #region = html("span", { role: "status", class: "unseen" });
  #voice = new Voice(this.#region);
  #display = new Display((state) => this.#shown(state));
  /** @type {(() => void) | null} */ #unsubscribe = null;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    for (const css of [BADGE, MODAL, WORK]) adopt(root.adoptedStyleSheets, css);
    this.#details.append(Object.assign(html("slot", { name: "details" }), { textContent: "Details" }));
    root.append(this.#badge.root, this.#details, this.#region, this.#modal.root);
    for (const button of [this.#badge.button, this.#details]) button.addEventListener("click", () => this.#open(button));
    this.#modal.root.addEventListener("close", () => this.#tell("close"));
  }

  /** What the badge shows: loading, stable, processing or unknown. */
  get state() {
    return this.#display.shown;
  }

  connectedCallback() {
    setAttributes(this, { state: this.state });
    if (!this.#unsubscribe) this.#follow();
  }

  disconnectedCallback() {
    // an element that only moves comes back before the microtask runs, and keeps its connection
    queueMicrotask(() => this.isConnected || this.#unfollow());
  }

  attributeChangedCallback() {
    if (!this.#unsubscribe) return;
    this.#unfollow();
    this.#follow();
  }

  #follow() {
    const store = live(this.#server);
    const look = () => this.#display.tell(stateOf(store.snapshot));
    this.#unsubscribe = store.subscribe(look);
    look();
  }

  #unfollow() {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#modal.close();
    this.#display.tell("loading");
  }

  get #server() {
    return this.getAttribute("server") ?? undefined;
  }

  /** @param {HTMLElement} opener */
  #open(opener) {
    this.#modal.open(opener, this.#server);
    this.#tell("open");
  }

  /** @param {import("./words.js").State} state */
  #shown(state) {
    this.#badge.show(state);
    this.#voice.tell(state);
    setAttributes(this, { state });
    this.#tell("change", { state });
  }

  /** @param {string} what @param {object} [detail] */
  #tell(what, detail) {
    this.dispatchEvent(new CustomEvent(`system-status-${what}`, { bubbles: true, composed: true, detail }));
  }
}

// the module may be on a page twice, from two servers; the first one serves both
if (!customElements.get("system-status")) customElements.define("system-status", SystemStatus);
