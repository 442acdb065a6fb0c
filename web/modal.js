import { details } from "./details.js";
import { html, setText } from "./dom.js";
import { live } from "./live.js";
import { Work } from "./work.js";

const PATIENCE = 500; // ms until waiting needs a sign

/** The dialog behind the badge. It fetches while it is open, and keeps nothing when it is closed. */
export class Modal {
  #work = new Work();
  #spinner = html("p", { class: "loading", part: "loading", hidden: true }, html("span", { class: "spinner" }), "Loading details...");
  #message = html("p");
  #login = html("a", { target: "_top" }, "Sign in");
  #signIn = html("p", {}, this.#login, " to see the details.");
  #error = html("div", { class: "error", part: "error", role: "alert" });
  #footer = html("footer", { part: "footer" });
  #close = html("button", { type: "button", part: "close", class: "close", "aria-label": "Close" }, "\u00d7");
  root = html(
    "dialog",
    { part: "dialog", "aria-labelledby": "title" },
    html(
      "div",
      { class: "sheet" },
      html("header", {}, html("h2", { id: "title", part: "title" }, "System Status Details"), this.#close),
      html(
        "div",
        { class: "body", part: "body", role: "region", "aria-labelledby": "title", tabindex: 0 },
        this.#error, this.#spinner, this.#work.root,
      ),
      this.#footer,
    ),
  );
  /** @type {HTMLElement | null} */ #opener = null;
  /** @type {() => void} */ #unsubscribe = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #waiting;
  #pressed = /** @type {EventTarget | null} */ (null);

  constructor() {
    this.#close.addEventListener("click", () => this.root.close());
    this.root.addEventListener("close", () => this.#closed());
    // a click on the backdrop begins and ends on the dialog itself; one that selects text only ends there
    this.root.addEventListener("pointerdown", ({ target }) => (this.#pressed = target));
    this.root.addEventListener("click", ({ target }) => {
      if (target === this.root && this.#pressed === this.root) this.root.close();
    });
  }

  /** @param {HTMLElement} opener  gets the focus back @param {string | URL} [server] */
  open(opener, server) {
    if (this.root.open) return;
    this.#opener = opener;
    const [feed, store] = [details(server), live(server)];
    this.#login.href = new URL("login", store.base).href;
    this.root.showModal();
    this.#waiting = setTimeout(() => (this.#spinner.hidden = false), PATIENCE);
    const show = () => this.#show(feed.snapshot, store.snapshot.status?.sources);
    const unsubscribe = [feed.subscribe(show), store.subscribe(show)];
    this.#unsubscribe = () => unsubscribe.forEach((each) => each());
    show();
  }

  close() {
    this.root.close();
  }

  #closed() {
    this.#unsubscribe();
    this.#clear();
    this.#opener?.focus();
  }

  #clear() {
    clearTimeout(this.#waiting);
    this.#spinner.hidden = true;
    this.#show({ details: null, error: null, refused: false });
  }

  /** @param {Pick<import("./details.js").Known, "details" | "error" | "refused">} known @param {import("./frames.js").Status["sources"]} [sources] */
  #show({ details, error, refused }, sources) {
    if (details || error) {
      clearTimeout(this.#waiting);
      this.#spinner.hidden = true;
    }
    setText(this.#message, error ? `Failed to load details: ${error}` : "");
    const said = error ? [this.#message, ...(refused ? [this.#signIn] : [])] : [];
    if (said.length !== this.#error.childElementCount) this.#error.replaceChildren(...said);
    this.#work.show(details, sources);
    setText(this.#footer, footer(details, error));
  }
}

/** @param {import("./frames.js").Details | null} details @param {string | null} error */
function footer(details, error) {
  if (!details) return error ? "Could not load status details." : "";
  if (error) return ""; // what is shown is old
  if (details.system_stable) return "System Stable: All data processing complete.";
  const nothing = details.import_jobs.length === 0 && details.analytics_tasks.length === 0;
  return nothing ? "System may still be processing background tasks." : "";
}
