import { moment } from "./frames.js";

/** @typedef {"fresh" | "stale" | "unknown"} Freshness */

/**
 * How far an observed row may be trusted, by a clock that goes on while the server does not: `stale_after` is two of its expected
 * intervals after `observed_at`, and beyond three nothing is known. A row without it is not observed, and does not age.
 * @param {import("./rows.js").Row} row @param {number} now  ms since 1970, by the server's clock
 * @returns {{ freshness: Freshness, until: number }}  `until`: when that changes (ms), Infinity for never
 */
export function freshness(row, now) {
  const observed = moment(row.observed_at);
  const stale = staleAfter(row.stale_after, observed);
  if (observed === null || stale === null) return { freshness: "fresh", until: Infinity };
  const unknown = observed + 1.5 * (stale - observed);
  if (now < stale) return { freshness: "fresh", until: stale };
  if (now < unknown) return { freshness: "stale", until: unknown };
  return { freshness: "unknown", until: Infinity };
}

/** A moment, or seconds since the observation. @param {unknown} told @param {number | null} observed */
function staleAfter(told, observed) {
  return typeof told === "number" && observed !== null ? observed + 1_000 * told : moment(told);
}
