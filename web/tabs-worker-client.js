const ANSWER = 5_000; // ms; a worker answers at once, unless it could not be loaded

/**
 * The worker of this origin, or null where there can be none: no such thing in the browser, or this module is embedded from elsewhere.
 * @param {string} base
 */
export function workerFor(base) {
  if (typeof SharedWorker === "undefined") return null;
  try {
    return new SharedWorker(new URL("./tabs-worker.js", import.meta.url), { type: "module", name: `stability-2 ${base}` });
  } catch {
    return null;
  }
}

/**
 * @param {SharedWorker} worker @param {string} base @param {string[]} topics
 * @param {import("./tabs.js").Deliver} deliver
 * @param {(topics: string[]) => import("./tabs.js").Following} otherwise  what to do when the worker turns out not to work
 * @returns {import("./tabs.js").Following}
 */
export function followWorker(worker, base, topics, deliver, otherwise) {
  const { port } = worker;
  /** @type {import("./tabs.js").Following | null} */
  let instead = null;
  let stopped = false;
  const giveUp = () => {
    leave();
    if (!stopped) instead ??= otherwise(topics);
  };
  const deadline = setTimeout(giveUp, ANSWER);
  const leave = () => {
    clearTimeout(deadline);
    port.postMessage({ leave: true });
    port.close();
    worker.onerror = port.onmessage = null;
  };
  worker.onerror = giveUp;
  port.onmessage = ({ data }) => {
    clearTimeout(deadline);
    if (data.snapshot && !stopped && !instead) deliver(data.snapshot, data.news);
  };
  port.postMessage({ follow: base, topics });
  return {
    stop: () => {
      stopped = true;
      if (instead) instead.stop();
      else leave();
    },
    want: (more) => {
      topics = more;
      if (instead) instead.want(more);
      else port.postMessage({ want: more });
    },
    wake: () => (instead ? instead.wake() : port.postMessage({ wake: true })),
  };
}
