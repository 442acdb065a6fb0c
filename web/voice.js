import { WORDS } from "./words.js";

const PAUSE = 5_000; // ms between two announcements

/** Says changes of state to those who listen to the page instead of looking at it; never the first state, never a clock. */
export class Voice {
  /** @type {import("./words.js").State | null} */ #said = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #wanted = /** @type {import("./words.js").State} */ ("loading");
  #saidAt = -PAUSE;

  /** @param {{ textContent: string | null }} region  a live region that is on the page already */
  constructor(region) {
    this.region = region;
  }

  /** @param {import("./words.js").State} state */
  tell(state) {
    if (state === "loading") return this.#reset();
    if (this.#said === null) this.#said = state;
    this.#wanted = state;
    this.#timer ??= setTimeout(() => this.#speak(), Math.max(0, this.#saidAt + PAUSE - performance.now()));
  }

  #speak() {
    this.#timer = undefined;
    if (this.#wanted === this.#said) return;
    this.#said = this.#wanted;
    this.#saidAt = performance.now();
    this.region.textContent = WORDS[this.#wanted].text;
  }

  #reset() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#said = null;
    this.region.textContent = "";
  }
}
