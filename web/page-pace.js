import { html } from "./dom.js";
import { LIVE, OFF } from "./pace.js";
import { setTime } from "./times.js";

const KEPT = "stability-pace"; // in localStorage
const MINUTE = 60_000; // ms

/** What somebody may choose, by what is kept of it. @type {ReadonlyMap<string, { text: string, every: number }>} */
const PACES = new Map([
  ["live", { text: "Live", every: LIVE }],
  ["30", { text: "30 s", every: MINUTE / 2 }],
  ...[1, 2, 5, 10].map((minutes) => /** @type {const} */ ([String(60 * minutes), { text: `${minutes} m`, every: minutes * MINUTE }])),
  ["off", { text: "Off", every: OFF }],
]);

/** The choice of how often the page asks for news, the same for all tabs, and when the last came. */
export class Pace {
  #select = html("select", { id: "pace", title: "How often news are asked for" }, ...[...PACES].map(([value, { text }]) => html("option", { value }, text)));
  #button = html("button", { type: "button", title: "Refresh now (r)", "aria-keyshortcuts": "r", hidden: true }, "Refresh");
  #time = html("time", { id: "updated" });
  #said = html("span", { class: "updated", hidden: true }, "Last updated ", this.#time);

  /** @param {HTMLElement} place @param {ReturnType<typeof import("./live.js").live>} store */
  constructor(place, store) {
    this.store = store;
    place.append(this.#said, html("label", { class: "pace", for: "pace" }, "Refresh"), this.#select, this.#button);
    this.#select.addEventListener("change", () => this.#choose(this.#select.value));
    this.#button.addEventListener("click", () => store.refresh());
    addEventListener("storage", ({ key }) => key === KEPT && this.#turn(kept()));
    addEventListener("keydown", (event) => {
      if (isRefresh(event)) store.refresh();
    });
    this.#turn(kept());
  }

  /** @param {import("./snapshot.js").Snapshot} snapshot */
  show({ provenAt }) {
    this.#said.hidden = provenAt === null;
    if (provenAt !== null) setTime(this.#time, provenAt);
  }

  /** @param {string} value */
  #choose(value) {
    try {
      localStorage.setItem(KEPT, value);
    } catch {
      // a browser that keeps nothing: it holds on this page
    }
    this.#turn(value);
  }

  /** @param {string} value */
  #turn(value) {
    const { every } = PACES.get(value) ?? { every: LIVE };
    this.#select.value = PACES.has(value) ? value : "live";
    this.#button.hidden = every === LIVE;
    this.store.pace(every);
  }
}

function kept() {
  try {
    return localStorage.getItem(KEPT) ?? "live";
  } catch {
    return "live";
  }
}

/** An `r` that is not written into a field, nor a browser's own shortcut. @param {KeyboardEvent} event */
function isRefresh(event) {
  const [target] = event.composedPath();
  const written = target instanceof Element && target.matches("input, select, textarea, [contenteditable]");
  return event.key === "r" && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey && !written;
}
