import { svg } from "./dom.js";

/** One shape for each state, so that nobody depends on its colour. Lines take the colour of the text around them. */
const SHAPES = {
  loading: () => [circle({ "stroke-dasharray": "1 3.4" })],
  stable: () => [circle(), line("M5 8.3 7.2 10.4 11 5.8")],
  processing: () => [circle({ opacity: 0.3 }), svg("path", { class: "turning", d: "M8 1.75A6.25 6.25 0 0 1 14.25 8" })],
  unknown: () => [
    circle({ "stroke-dasharray": "2.6 2.31" }),
    line("M6.3 6.4a1.75 1.75 0 1 1 2.5 1.6c-.5.25-.8.6-.8 1.1"),
    line("M8 11.35v.01"),
  ],
  pending: () => [circle(), line("M8 4.9V8l2 1.6")],
  warning: () => [line("M8 2.1 14.2 13.2H1.8Z"), line("M8 6.4v3"), line("M8 11.2v.01")],
  critical: () => [line("M5.4 1.75h5.2l3.65 3.65v5.2l-3.65 3.65H5.4L1.75 10.6V5.4Z"), line("m5.9 5.9 4.2 4.2m0-4.2-4.2 4.2")],
  unset: () => [circle(), line("M5.5 8h5")],
  stopped: () => [circle(), svg("rect", { x: 5.9, y: 5.9, width: 4.2, height: 4.2, rx: 0.6 })],
};

/** @typedef {keyof typeof SHAPES} Shape */

/** @param {Shape} state */
export function icon(state) {
  return svg(
    "svg",
    { viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round",
      "stroke-linejoin": "round", "aria-hidden": "true", "data-for": state },
    ...SHAPES[state](),
  );
}

/** @param {import("./dom.js").Attributes} [more] */
const circle = (more = {}) => svg("circle", { cx: 8, cy: 8, r: 6.25, ...more });

/** @param {string} d */
const line = (d) => svg("path", { d });
