import { freshness } from "./freshness.js";

/**
 * What a status of any monitor means to somebody who does not know the monitor. The same table is in stability/levels.py;
 * the stream carries the level with each row, other answers do not.
 *
 * @typedef {"ok" | "processing" | "warning" | "critical" | "unknown"} Level
 * @typedef {Partial<Record<Level, number>>} Tally  how many there are of each
 * @typedef {import("./rows.js").Row} Row
 */

/** @type {Readonly<Record<Exclude<Level, "unknown">, string>>} */
const STATUSES = {
  ok: "ok stable running passing FINISHED completed",
  processing: "processing PENDING READY RUNNING CANCELLING pending installing starting",
  warning: "warning not_created CANCELLED stopped stale",
  critical: "critical unhealthy failed FAILED no_compose",
};
export const LEVELS = new Map(
  Object.entries(STATUSES).flatMap(([level, listed]) => listed.split(" ").map((status) => [status, /** @type {Level} */ (level)])),
);

/** What needs somebody first. @type {readonly Level[]} */
export const RANKED = ["critical", "warning", "unknown", "processing", "ok"];

/** @type {Readonly<Record<Level, import("./icons.js").Shape>>} */
export const SHAPE = { critical: "critical", warning: "warning", unknown: "unknown", processing: "processing", ok: "stable" };

/** @param {unknown} status @returns {Level} */
export const level = (status) => LEVELS.get(String(status)) ?? "unknown";

/** What may still be claimed of a row. @param {Row} row @param {number} now  ms since 1970, by the server's clock @returns {Level} */
export function levelOf(row, now) {
  if (freshness(row, now).freshness === "unknown") return "unknown";
  return level(row.level ?? row.state ?? row.status ?? row.container_status ?? row.current_status);
}

/** @param {Iterable<Level>} levels @returns {Tally} */
export function tallied(levels) {
  /** @type {Tally} */
  const tally = {};
  for (const each of levels) tally[each] = (tally[each] ?? 0) + 1;
  return tally;
}

/** "1 critical, 2 in progress, 12 ok". @param {Tally} tally */
export function counted(tally) {
  return RANKED.flatMap((each) => (tally[each] ? [`${tally[each].toLocaleString()} ${word(each, tally[each])}`] : [])).join(", ");
}

/** @param {Level} each @param {number} count */
export const word = (each, count) => ({ critical: "critical", warning: count === 1 ? "warning" : "warnings", unknown: "unknown", processing: "in progress", ok: "ok" })[each];
