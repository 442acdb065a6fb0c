/** Every bound of the live connection, in milliseconds; tests pass shorter ones. */
export const TIMING = Object.freeze({
  sleep: 5_000, // between two looks at the clock
  silence: 45_000, // three heartbeats unheard: the stream is dead, whatever the socket says
  settled: 15_000, // a stream that lived this long has proven itself
  pollAfter: 15_000, // without a state for so long, ask instead of listening
  pollAfterFailures: 3,
  pollFirst: 5_000,
  pollGrowth: 1.5,
  pollMost: 30_000,
  pollTimeout: 10_000,
  retryFirst: 1_000,
  retryMost: 30_000,
  retryBesidePolling: 60_000, // polling works: the stream is not urgent
  byeMost: 120_000, // the longest wait that a server may ask for
  catchUp: 2_000, // a heartbeat names a version that its state may take this long to bring
  rowsBusy: 5_000, // between two questions for the rows of a topic, while no stream tells them and something goes on
  rowsIdle: 30_000,
  applications: 60_000, // between two questions for applications and their figures; for settled ones five times as long
  historyLeast: 5_000, // between two questions for a chart, however many changes come
  historyRest: 20, // times as long as the last answer took: a chart never keeps a server busy
  historyTimeout: 20_000,
  detailsLeast: 1_000, // between two questions for the details, however many hints come
  detailsWatch: 2_000, // while work goes on and no stream tells of it
  detailsRetry: 5_000,
  detailsTimeout: 10_000,
});

/** @typedef {{ readonly [Bound in keyof typeof TIMING]: number }} Timing */

/**
 * Full jitter: anything up to a bound that doubles, so that ten thousand browsers do not come back in step.
 * @param {number} failures @param {Timing} timing
 */
export function backoff(failures, timing) {
  return Math.random() * Math.min(timing.retryMost, timing.retryFirst * 2 ** Math.max(0, failures - 1));
}
