/** How well the statuses of applications are known, in words. */

export const SETTLED = 5; // cycles between two questions for rows of which nothing is uncertain
const UNCERTAIN = ["unknown", "no_compose"];

/** Whether it is worth asking again soon. @param {import("./rows.js").Row} row */
export const uncertain = ({ container_status: status }) => UNCERTAIN.includes(String(status ?? "unknown"));

/** @param {unknown} percent */
const rate = (percent) => (typeof percent === "number" ? `${percent} %` : "not known yet");

/** @param {unknown} counts */
function counted(counts) {
  const found = counts && typeof counts === "object" ? Object.entries(counts) : [];
  return found.map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`).join(", ");
}

/** Those of the server that answered. @param {Readonly<Record<string, unknown>>} told */
export function figures(told) {
  return [
    `Accuracy: ${rate(told.accuracy_percent)}`,
    `From the cache: ${rate(told.cache_hit_percent)}`,
    `Engine calls in the last minute: ${told.engine_calls_per_minute ?? 0}`,
    `Refreshes: ${counted(told.refreshes)}`,
    `Ages: ${counted(told.status_ages)}`,
  ].join(" · ");
}
