import { setAttributes, setText } from "./dom.js";

const PATIENCE = 5_000; // ms until a reconnection is worth a word

/** @type {Record<import("./snapshot.js").Transport, string>} */
const WORDS = {
  connecting: "",
  live: "Live",
  reconnecting: "Reconnecting...",
  polling: "Polling",
  offline: "Offline",
  paused: "Paused",
};

/** How the news travels, told apart from what it says. */
export class Transport {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #later;
  /** @type {import("./snapshot.js").Snapshot["transport"]} */ #shown = "connecting";

  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
  }

  /** @param {import("./snapshot.js").Snapshot} snapshot */
  show({ transport }) {
    if (transport !== "reconnecting") {
      this.#turn(transport);
    } else if (this.#shown !== "reconnecting" && !this.#later) {
      this.#turn("connecting"); // says nothing yet, and no longer "Live"
      this.#later = setTimeout(() => this.#turn(transport), PATIENCE);
    }
  }

  /** @param {import("./snapshot.js").Snapshot["transport"]} transport */
  #turn(transport) {
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#shown = transport;
    setAttributes(this.place, { "data-transport": transport });
    setText(this.place, WORDS[transport]);
  }
}
