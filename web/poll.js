import { parseStatus } from "./frames.js";

/**
 * Asks GET /api/system-status again and again while no stream gets through.
 * The browser's own cache revalidates with the ETag: an unchanged state costs a 304, and no header that would need a preflight.
 */
export class Poll {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {AbortController | null} */ #asking = null;
  #pause = 0;

  /**
   * @param {URL} url
   * @param {(status: import("./frames.js").Status) => void} answered
   * @param {() => void} failed
   * @param {import("./timing.js").Timing} timing
   */
  constructor(url, answered, failed, timing) {
    this.url = url;
    this.answered = answered;
    this.failed = failed;
    this.timing = timing;
  }

  get running() {
    return this.#asking !== null;
  }

  start() {
    if (this.running) return;
    this.#pause = this.timing.pollFirst;
    this.#asking = new AbortController();
    void this.#ask(this.#asking);
  }

  now() {
    this.stop();
    this.start();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  /** @param {AbortController} asking */
  async #ask(asking) {
    const signal = AbortSignal.any([asking.signal, AbortSignal.timeout(this.timing.pollTimeout)]);
    let status = null;
    try {
      const answer = await fetch(this.url, { cache: "no-cache", signal });
      if (answer.ok) status = parseStatus(await answer.text());
    } catch {
      // away, too slow or not ours: all the same to the one who waits, and the next try comes
    }
    if (asking.signal.aborted) return;
    if (status) this.answered(status);
    else this.failed();
    // the callback may have stopped us
    if (!asking.signal.aborted) this.#timer = setTimeout(() => void this.#ask(asking), this.#next());
  }

  #next() {
    const pause = this.#pause;
    this.#pause = Math.min(this.timing.pollMost, pause * this.timing.pollGrowth);
    return pause * (0.75 + Math.random() / 4);
  }
}
