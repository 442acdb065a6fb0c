/**
 * The words of the badge: what each state says, and what its tooltip adds.
 *
 * @typedef {"loading" | "stable" | "processing" | "unknown"} State
 * @type {Readonly<Record<State, { text: string, tooltip: string }>>}
 */
export const WORDS = Object.freeze({
  loading: { text: "Loading...", tooltip: "" },
  stable: { text: "System Stable", tooltip: "All data processing is complete" },
  processing: { text: "Processing Data", tooltip: "Data is currently being processed" },
  unknown: { text: "Status Unknown", tooltip: "Connection error. Status updates may be unavailable." },
});

/** `importing_data` as people write it: "Importing data". @param {string} name */
export function spoken(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** How much of a source is in progress. @param {import("./frames.js").Source} source */
export function counted({ active, count, more }) {
  if (active === null) return "Not known";
  if (!active) return "Nothing in progress";
  return typeof count === "number" ? `${count}${more ? " or more" : ""} in progress` : "In progress";
}
