import { failure } from "./failure.js";
import { parseDetails } from "./frames.js";
import { live } from "./live.js";
import { TIMING } from "./timing.js";

/**
 * What is in progress behind the badge, as far as this browser knows.
 *
 * @typedef {object} Known
 * @property {import("./frames.js").Details | null} details  stays while newer ones are fetched
 * @property {string | null} error  why the last fetch failed
 * @property {boolean} refused  the server wants to know first who asks
 * @property {number | null} readAt  when `details` came, by this browser's clock (ms)
 */

/** @type {Readonly<Known>} */
const NOTHING = Object.freeze({ details: null, error: null, refused: false, readAt: null });

/** Fetches the details while somebody looks: at once, then whenever the stream says that something changed. */
export class Details {
  snapshot = NOTHING;
  /** @type {Set<() => void>} */ #listeners = new Set();
  /** @type {() => void} */ #unfollow = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {AbortController | null} */ #asking = null;
  #askedAt = -Infinity;
  #again = false; // a hint came while an answer was under way
  #seen = "";
  #looks = 0;

  /**
   * @param {URL} url
   * @param {Pick<ReturnType<typeof live>, "subscribe" | "snapshot">} store  its changes are the hints
   * @param {import("./timing.js").Timing} [timing]
   */
  constructor(url, store, timing = TIMING) {
    this.url = url;
    this.store = store;
    this.timing = timing;
  }

  /**
   * Calls `listener` after every change of `snapshot`, until the function that is returned is called.
   * Nothing is fetched, and nothing kept, while nobody listens.
   * @param {() => void} listener
   */
  subscribe = (listener) => {
    const entry = () => listener();
    this.#listeners.add(entry);
    if (this.#listeners.size === 1) this.#begin();
    return () => {
      if (this.#listeners.delete(entry) && this.#listeners.size === 0) this.#end();
    };
  };

  #begin() {
    this.#seen = hintIn(this.store.snapshot);
    this.#unfollow = this.store.subscribe(this.#look);
    void this.#ask();
  }

  #end() {
    this.#unfollow();
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
    this.snapshot = NOTHING;
  }

  #look = () => {
    const hint = hintIn(this.store.snapshot);
    if (hint === this.#seen) return;
    this.#seen = hint;
    const { transport, looks } = this.store.snapshot;
    const looked = looks !== this.#looks;
    this.#looks = looks;
    if (transport === "paused" && !looked) return this.#rest();
    if (this.#asking) this.#again = true;
    else this.#askIn(0);
  };

  /** A paused page asks for nothing more, also not for what it was about to ask. */
  #rest() {
    clearTimeout(this.#timer);
    this.#again = false;
  }

  /** @param {number} wait  ms; longer if the last question is too young */
  #askIn(wait) {
    clearTimeout(this.#timer);
    const earliest = this.#askedAt + this.timing.detailsLeast - performance.now();
    this.#timer = setTimeout(() => void this.#ask(), Math.max(wait, earliest));
  }

  async #ask() {
    const asking = new AbortController();
    this.#asking = asking;
    this.#askedAt = performance.now();
    this.#again = false;
    const news = await this.#answer(AbortSignal.any([asking.signal, AbortSignal.timeout(this.timing.detailsTimeout)]));
    if (asking.signal.aborted) return; // nobody looks any more
    this.#asking = null;
    this.#show({ ...this.snapshot, ...(news.error && nothingIn(this.snapshot.details) && { details: null }), ...news });
    if (this.#asking || this.#listeners.size === 0) return;
    const wait = this.#again ? 0 : this.#pause();
    if (wait !== null) this.#askIn(wait);
  }

  /** @param {AbortSignal} signal @returns {Promise<Partial<Known>>} */
  async #answer(signal) {
    try {
      const answer = await fetch(this.url, { cache: "no-store", signal });
      if (answer.ok) return { details: parseDetails(await answer.text()), error: null, refused: false, readAt: Date.now() };
      return { error: `HTTP error! status: ${answer.status}`, refused: answer.status === 401 };
    } catch (error) {
      return { error: await failure(error, new URL("../../", this.url)), refused: false };
    }
  }

  /** An error has to end; and without a stream nobody says that the rows of a job grew. @returns {number | null} */
  #pause() {
    const { transport, stable } = this.store.snapshot;
    if (transport === "paused") return null;
    if (this.snapshot.error) return this.timing.detailsRetry;
    const working = stable === false || this.snapshot.details?.system_stable === false;
    return working && transport !== "live" ? this.timing.detailsWatch : null; // a live stream says that work went on
  }

  /** @param {Known} snapshot */
  #show(snapshot) {
    this.snapshot = snapshot;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** That nothing was in progress is not worth keeping when newer details fail: it reads as if it were still so. */
const nothingIn = (/** @type {Known["details"]} */ details) => !details?.import_jobs.length && !details?.analytics_tasks.length;

/** Differs whenever what the server told may differ. @param {import("./snapshot.js").Snapshot} snapshot */
function hintIn({ stable, status, transport, looks }) {
  return transport === "paused" ? `${looks}` : `${stable} ${status?.version} ${transport}`;
}

/** @type {Map<string, Details>} */
const servers = new Map();

/** The details of one server, shared by everything on this page that shows them. @param {string | URL} [server] */
export function details(server) {
  const store = live(server);
  const known = servers.get(store.base) ?? new Details(new URL("api/system-status/details", store.base), store);
  servers.set(store.base, known);
  return known;
}
