/** @typedef {import("./words.js").State} State */

const REST = 1_000; // ms without work until the badge turns from processing to stable

/**
 * What the badge shows, a calmer thing than the truth: processing is shown at once, its end after a second of rest,
 * so that a queue of short tasks does not make it flicker. Not knowing is never delayed.
 */
export class Display {
  /** @type {State} */ shown = "loading";
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #rest;

  /** @param {(state: State) => void} show */
  constructor(show) {
    this.show = show;
  }

  /** @param {State} state */
  tell(state) {
    if (state === "stable" && this.shown === "processing") {
      this.#rest ??= setTimeout(() => this.#turn(state), REST);
    } else {
      this.#turn(state);
    }
  }

  /** @param {State} state */
  #turn(state) {
    clearTimeout(this.#rest);
    this.#rest = undefined;
    if (state === this.shown) return;
    this.shown = state;
    this.show(state);
  }
}
