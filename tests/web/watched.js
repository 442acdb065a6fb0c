import { Stream } from "../../web/stream.js";
import { TIMING } from "../../web/timing.js";

/** @typedef {import("../../web/snapshot.js").Snapshot} Snapshot */

/** The bounds of the live connection, a hundred times shorter where a test would wait for them. */
export const QUICK = Object.freeze({
  ...TIMING,
  pollAfter: 150,
  pollFirst: 50,
  pollMost: 300,
  pollTimeout: 500,
  retryFirst: 10,
  retryMost: 80,
  retryBesidePolling: 400,
  catchUp: 40,
  detailsLeast: 50,
  detailsWatch: 150,
  detailsRetry: 100,
  detailsTimeout: 500,
});

/** A stream of which a test awaits what it shows. */
export class Watched {
  /** @type {Snapshot[]} */ history = [];
  /** @type {Set<() => void>} */ #checks = new Set();

  /**
   * @param {import("node:test").TestContext} test @param {import("./scripted-server.js").ScriptedServer} server
   * @param {Partial<import("../../web/timing.js").Timing>} [timing]
   */
  constructor(test, server, timing = {}) {
    this.stream = new Stream(String(server.base), (snapshot) => this.#changed(snapshot), { ...QUICK, ...timing });
    test.after(() => this.stream.stop());
    this.stream.start();
  }

  /** @param {Snapshot} snapshot */
  #changed(snapshot) {
    this.history.push(snapshot);
    for (const check of [...this.#checks]) check();
  }

  /** The snapshot that has these values, now or soon. @param {Partial<Snapshot>} values @returns {Promise<Snapshot>} */
  shows(values) {
    const fits = () =>
      Object.entries(values).every(([name, value]) => this.stream.snapshot[/** @type {keyof Snapshot} */ (name)] === value);
    return this.meets(fits);
  }

  /** @param {() => boolean} fits @returns {Promise<Snapshot>} */
  meets(fits) {
    return new Promise((resolve) => {
      const check = () => {
        if (!fits()) return;
        this.#checks.delete(check);
        resolve(this.stream.snapshot);
      };
      this.#checks.add(check);
      check();
    });
  }
}
