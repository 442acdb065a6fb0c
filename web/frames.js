/**
 * What the server says, parsed once. Everything behind these functions may trust its argument.
 *
 * @typedef {object} Source  one watched source; `active` is null when it is broken, and `error` then says why
 * @property {boolean | null} active
 * @property {number | null} [count]
 * @property {boolean} [more]  true when `count` is a floor
 * @property {string | null} [error]
 *
 * @typedef {object} Status  the rich state of the system
 * @property {"stable" | "processing" | "unknown"} state
 * @property {boolean | null} stable
 * @property {string} [as_of]
 * @property {string} [since]
 * @property {number} [version]
 * @property {string} [listener]
 * @property {Record<string, Source>} [sources]
 */

export class BadFrame extends Error {}

/** @param {string} text @returns {Record<string, unknown>} */
export function parseObject(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadFrame("not JSON");
  }
  if (!isRecord(value)) throw new BadFrame("not an object");
  return value;
}

/** @param {Record<string, unknown>} frame @returns {boolean | null} */
function stableIn(frame) {
  const { stable } = frame;
  if (stable === true || stable === false || stable === null) return stable;
  throw new BadFrame("`stable` is neither true, false nor null");
}

/** The unnamed message: `{"stable": true | false | null}`. @param {string} text @returns {boolean | null} */
export function parseMessage(text) {
  return stableIn(parseObject(text));
}

/** The `status` event and the answer of GET /api/system-status. @param {string} text @returns {Status} */
export function parseStatus(text) {
  const frame = parseObject(text);
  const stable = stableIn(frame);
  const state = stable === null ? "unknown" : stable ? "stable" : "processing";
  return { ...frame, stable, state };
}

/**
 * @typedef {object} Hello  how `/api/live` begins
 * @property {string} epoch  names this life of the server: ids of another one mean nothing in it
 * @property {number | null} time  the server's clock (ms), if it says
 *
 * @typedef {object} RowChange  one row of a topic; null once it is gone
 * @property {string} topic
 * @property {string} key
 * @property {Record<string, unknown> | null} row
 */

/** The `hello` event. @param {string} text @returns {Hello} */
export function parseHello(text) {
  const { epoch, time } = parseObject(text);
  if (typeof epoch !== "string") throw new BadFrame("no `epoch`");
  return { epoch, time: moment(time) };
}

/** The `connection` event. @param {string} text @returns {{ listener: string, unread: Record<string, number | null> }} */
export function parseConnection(text) {
  const { listener, unread } = parseObject(text);
  const topics = Object.entries(isRecord(unread) ? unread : {}).map(([topic, asOf]) => [topic, moment(asOf)]);
  return { listener: String(listener), unread: Object.fromEntries(topics) };
}

/** The `change` event. @param {string} text @returns {RowChange} */
export function parseChange(text) {
  const { topic, key, row } = parseObject(text);
  if (typeof topic !== "string" || typeof key !== "string") throw new BadFrame("no `topic` or no `key`");
  if (row !== null && !isRecord(row)) throw new BadFrame("`row` is neither an object nor null");
  return { topic, key, row };
}

/** ISO 8601 as ms since 1970, null for anything else. @param {unknown} text */
export function moment(text) {
  const parsed = typeof text === "string" ? Date.parse(text) : NaN;
  return Number.isNaN(parsed) ? null : parsed;
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
export function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @typedef {object} Job  an import in progress; an adopted table may lack everything but its id
 * @property {number | string} id
 * @property {string | null} [slug]
 * @property {string | null} [state]
 * @property {number | null} [total_rows]
 * @property {number | null} [imported_rows]
 * @property {number | null} [progress_pct]
 * @property {number} [unchanged_since]  ms since 1970: nobody has written it since then, or for longer
 *
 * @typedef {object} Task  an analytics task in progress
 * @property {number | string} id
 * @property {string | null} [command]
 * @property {string | null} [state]
 * @property {string | null} [created_at]
 * @property {number} [unchanged_since]
 *
 * @typedef {object} Details
 * @property {Job[]} import_jobs
 * @property {Task[]} analytics_tasks
 * @property {number} import_jobs_total
 * @property {number} analytics_tasks_total
 * @property {boolean} system_stable
 */

/** The answer of GET /api/system-status/details. @param {string} text @returns {Details} */
export function parseDetails(text) {
  const { import_jobs: jobs, analytics_tasks: tasks, system_stable: stable, ...rest } = parseObject(text);
  if (!Array.isArray(jobs) || !Array.isArray(tasks)) throw new BadFrame("no lists of jobs and tasks");
  if (typeof stable !== "boolean") throw new BadFrame("`system_stable` is neither true nor false");
  const since = unchangedSince(rest.unchanged);
  return {
    import_jobs: jobs.map((job) => ({ ...job, unchanged_since: since.get(`import_job/${job.id}`) })),
    analytics_tasks: tasks.map((task) => ({ ...task, unchanged_since: since.get(`analytics_tasks/${task.id}`) })),
    import_jobs_total: Number(rest.import_jobs_total ?? jobs.length),
    analytics_tasks_total: Number(rest.analytics_tasks_total ?? tasks.length),
    system_stable: stable,
  };
}

/** Since when rows stand still, by source and id; a server that does not tell knows of none. @param {unknown} unchanged */
function unchangedSince(unchanged) {
  const rows = Array.isArray(unchanged) ? unchanged : [];
  return new Map(rows.map(({ source, id, since }) => /** @type {const} */ ([`${source}/${id}`, Date.parse(since)])));
}
