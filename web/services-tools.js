import { html, setAttributes, setText } from "./dom.js";
import { isRecord, parseObject } from "./frames.js";
import { GRANULARITIES } from "./service-history.js";

/**
 * How this browser wants to see services: whether and how often list and charts are fetched anew, and in what slots. The server
 * keeps it in a cookie; where it cannot, it is kept until the page is left.
 */

const INTERVALS = /** @type {const} */ ([[30, "30s"], [60, "1m"], [120, "2m"], [300, "5m"], [600, "10m"]]); // seconds

export class Tools {
  #enabled = html("input", { type: "checkbox", role: "switch" });
  #interval = html("select", { "aria-label": "Interval", disabled: true }, ...INTERVALS.map(([value, text]) => html("option", { value }, text)));
  #granularity = html("select", {}, ...GRANULARITIES.map((value) => html("option", { value }, `${value}m`)));
  #refresh = html("button", { type: "button" }, "🔄 Refresh");
  root = html("div", { class: "tools", part: "tools", role: "group", "aria-label": "How services are shown" },
    html("label", { class: "switch" }, this.#enabled, "Auto-refresh"), this.#interval,
    html("label", {}, "History: ", this.#granularity), this.#refresh);
  #base = "";

  /** @param {{ refresh: () => void, changed: () => void }} heard  the button; the interval, or whether there is one */
  constructor({ refresh, changed }) {
    this.#interval.value = "60";
    this.#granularity.value = "15";
    this.#refresh.addEventListener("click", refresh);
    this.#enabled.addEventListener("change", () => {
      this.#show();
      changed();
      this.#store({ autoRefresh: { enabled: this.#enabled.checked } });
    });
    this.#interval.addEventListener("change", () => {
      changed();
      this.#store({ autoRefresh: { interval: Number(this.#interval.value) } });
    });
    this.#granularity.addEventListener("change", () => {
      refresh();
      this.#store({ display: { historyGranularity: this.granularity } });
    });
  }

  get granularity() {
    return Number(this.#granularity.value);
  }

  /** Milliseconds between two refreshes, null for never. */
  get every() {
    return this.#enabled.checked ? 1_000 * Number(this.#interval.value) : null;
  }

  /** @param {boolean} loading */
  busy(loading) {
    setText(this.#refresh, loading ? "Loading..." : "🔄 Refresh");
    setAttributes(this.#refresh, { "aria-disabled": loading });
  }

  /** What the server keeps for this browser. @param {string} base @param {AbortSignal} signal */
  async load(base, signal) {
    this.#base = base;
    try {
      const answer = await fetch(new URL("api/config", base), { cache: "no-cache", signal });
      const { autoRefresh, display } = answer.ok ? parseObject(await answer.text()) : {};
      if (isRecord(autoRefresh)) {
        this.#enabled.checked = autoRefresh.enabled === true;
        choose(this.#interval, autoRefresh.interval);
      }
      if (isRecord(display)) choose(this.#granularity, display.historyGranularity);
    } catch {
      // what the page begins with will do
    }
    this.#show();
  }

  #show() {
    this.#interval.disabled = !this.#enabled.checked;
  }

  /** @param {object} change */
  #store(change) {
    const [headers, body] = [{ "Content-Type": "application/json" }, JSON.stringify(change)];
    fetch(new URL("api/config", this.#base), { method: "POST", headers, body }).catch(() => {}); // it holds on this page
  }
}

/** @param {HTMLSelectElement} select @param {unknown} value */
function choose(select, value) {
  if ([...select.options].some((option) => option.value === String(value))) select.value = String(value);
}
