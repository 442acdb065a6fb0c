import { bar } from "./styles.js";

/** The looks of the parts, one each. Graphics and texts were measured in both themes: 3:1 and 4.5:1 at least. */

export const DEPLOYMENTS = `${bar(".progress")}
.counts { margin-bottom: .25rem; color: light-dark(#4b5460, #a9b3be); font-size: .875rem; font-variant-numeric: tabular-nums; }
.counts:empty { display: none; }
li { padding: .65rem 0; content-visibility: auto; contain-intrinsic-block-size: auto 4rem; }
li + li { border-top: 1px solid light-dark(#eceff2, #262d37); }
li:last-child { padding-bottom: 0; }
.line { display: flex; align-items: center; justify-content: space-between; gap: 1rem; }
.chip {
  display: inline-flex; flex: none; align-items: center; gap: .4em; padding: .12em .7em .12em .5em; border-radius: 99px;
  border: 1px solid color-mix(in srgb, var(--tone) 55%, transparent);
  background: color-mix(in srgb, var(--tone) 10%, light-dark(#fff, #14181f)); color: color-mix(in srgb, var(--tone) 72%, light-dark(#000, #fff));
  font-size: .875rem; font-weight: 600; line-height: 1.4;
}
.chip[data-shape="unknown"], .chip[data-stale] { border-style: dashed; border-color: var(--tone); }
.chip svg { width: 1.1em; height: 1.1em; color: var(--tone); }
.message { margin-top: .25rem; color: light-dark(#4b5460, #a9b3be); font-size: .875rem; overflow-wrap: anywhere; }
.error { margin-top: .15rem; color: light-dark(#92000f, #ff8e9c); font-size: .875rem; overflow-wrap: anywhere; }
.quiet:empty { display: none; }
@media (forced-colors: active) { .chip, .chip[data-shape] { border-color: CanvasText; color: CanvasText; } .chip svg { color: CanvasText; } }
`;

/** What pictures over time share. */
const PLOT = `
.plot { position: relative; margin-top: .35rem; }
.plot svg { display: block; width: 100%; height: 8rem; border-bottom: 1px solid light-dark(#8b95a1, #6b7683); background: light-dark(#f8f9fa, #10151b); cursor: crosshair; }
.plot svg[data-loading] { opacity: .5; }
path:not(.gap) { fill: none; }
path.hatching { stroke: light-dark(#8b95a1, #6b7683); stroke-width: 1; }
.cursor { position: absolute; top: 0; bottom: 1px; width: 1px; background: light-dark(#4b5460, #a9b3be); pointer-events: none; }
.legend, .axis { display: flex; flex-wrap: wrap; gap: .1rem 1rem; color: light-dark(#4b5460, #a9b3be); font-size: .8125rem; font-variant-numeric: tabular-nums; }
details { margin-top: .5rem; }
summary { width: fit-content; min-height: 24px; color: light-dark(#124fd6, #8fb2ff); font-size: .8125rem; line-height: 24px; cursor: pointer; }
.scroll { max-height: 15rem; overflow: auto; border: 1px solid light-dark(#e2e5ea, #262d37); border-radius: 6px; }
table { width: 100%; border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: end; }
th:first-child { text-align: start; font-weight: 400; white-space: nowrap; }
thead th { position: sticky; top: 0; background: light-dark(#eef0f3, #262d37); font-weight: 600 !important; }
.axis { justify-content: space-between; margin-top: .2rem; }
.bubble {
  position: absolute; bottom: calc(100% + 4px); z-index: 1; padding: .35rem .6rem; border: 1px solid light-dark(#20262e, #4b5460); border-radius: 6px;
  background: light-dark(#20262e, #2b323c); color: #fff; font-size: .8125rem; line-height: 1.4; white-space: nowrap; pointer-events: none;
}
.bubble div:first-child { opacity: .85; }
@media (forced-colors: active) {
  path.hatching { stroke: CanvasText; }
  .cursor { background: Highlight; }
}
`;

export const APPLICATIONS = `
.line { display: flex; align-items: center; gap: 1rem; margin-bottom: .5rem; }
button {
  min-height: 2rem; padding: .1rem .7rem; border: 1px solid light-dark(#7a838e, #6b7683); border-radius: 6px; background: none; color: inherit;
  font: inherit; font-size: .875rem; cursor: pointer;
}
button:disabled { color: light-dark(#5d6772, #a3adb8); border-style: dashed; }
button[aria-busy] { cursor: progress; }
.spinner { display: inline-block; width: .7em; height: .7em; margin-inline-end: .45em; border: 2px solid color-mix(in srgb, currentColor 25%, transparent);
  border-top-color: currentColor; border-radius: 50%; }
.spinner[hidden] { display: none; }
.figures { margin: 0 0 .5rem; color: light-dark(#4b5460, #a9b3be); font-size: .8125rem; overflow-wrap: anywhere; }
.figures[hidden] { display: none; }
.message:empty, .away:empty { display: none; }
.away { margin: 0 0 .5rem; }
/* grids, since of a table every row is laid out whenever one comes */
table, thead, tbody { display: block; font-size: .875rem; text-align: start; }
tr { display: grid; grid-template-columns: 28% minmax(0, 1fr) 22%; }
tbody tr { content-visibility: auto; contain-intrinsic-block-size: auto 2.2rem; }
th, td { padding: .4rem .5rem .4rem 0; border-bottom: 1px solid light-dark(#eceff2, #262d37); text-align: start; }
th[scope="row"] { font-weight: 600; overflow-wrap: anywhere; }
.status { color: color-mix(in srgb, var(--tone) 72%, light-dark(#000, #fff)); font-weight: 600; }
.words, .old { color: light-dark(#4b5460, #a9b3be); }
.old { font-style: italic; }
`;

export const EXECUTIONS = `${PLOT}
.tiles { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem; }
@container (min-width: 34rem) { .tiles { grid-template-columns: repeat(6, minmax(0, 1fr)); } }
.tiles li { display: grid; grid-template-columns: minmax(0, 1fr) auto; align-items: center; gap: .1rem .25rem; padding: .5rem .6rem; border: 1px solid light-dark(#e2e5ea, #262d37); border-radius: 8px; }
.number { font-size: 1.25rem; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.kind { grid-column: 1 / -1; color: light-dark(#4b5460, #a9b3be); font-size: .8125rem; }
.tiles svg { width: 1rem; height: 1rem; color: var(--tone); }
.tiles [data-none] svg { color: light-dark(#7a838e, #6b7683); }
.tiles [data-none] .number { color: light-dark(#5d6772, #a3adb8); }
[data-none] .turning { animation: none; }

.ranges { display: flex; gap: .25rem; margin-top: 1.1rem; }
.ranges label { display: grid; cursor: pointer; }
.ranges > label > * { grid-area: 1 / 1; }
.ranges input { margin: 0; appearance: none; border-radius: 6px; }
.ranges span { padding: .15rem .7rem; border: 1px solid transparent; border-radius: 6px; font-size: .875rem; line-height: 1.4; pointer-events: none; }
.ranges input:checked + span { border-color: light-dark(#8b95a1, #6b7683); background: light-dark(#eef0f3, #262d37); font-weight: 600; }
.ranges input:not(:checked):hover + span { background: light-dark(#f3f5f7, #1c222b); }

.chart { margin-top: .6rem; }
.most { margin-inline-start: auto; }
.key { display: inline-flex; align-items: center; gap: .4rem; }
.key::before { content: ""; width: 1.1rem; border-top: 2.5px solid; }
.key.running::before { border-color: light-dark(#185bff, #6f9bff); }
.key.pending::before { border-top-style: dashed; border-color: light-dark(#a36a00, #fcc02b); }
path.running { stroke: light-dark(#185bff, #6f9bff); stroke-width: 2; }
path.pending { stroke: light-dark(#a36a00, #fcc02b); stroke-width: 2; stroke-dasharray: 5 3; }
path.ground.ground { fill: light-dark(#185bff, #6f9bff); fill-opacity: .12; }

.changes { margin-top: 1.1rem; }
.caption { color: light-dark(#4b5460, #a9b3be); font-size: .8125rem; font-weight: 600; }
.changes li { display: grid; grid-template-columns: minmax(0, 1fr) auto 7.5rem; align-items: baseline; gap: 0 1rem; padding: .4rem 0; }
.changes li + li { border-top: 1px solid light-dark(#eceff2, #262d37); }
.changes time { text-align: end; }
.step { font-size: .875rem; }
.to { color: color-mix(in srgb, var(--tone) 80%, light-dark(#000, #fff)); font-weight: 600; }
.changes button {
  min-height: 1.75rem; margin-top: .35rem; padding: .1rem .7rem; border: 1px solid light-dark(#d4d9df, #333b46); border-radius: 6px;
  background: none; color: inherit; font: inherit; font-size: .8125rem; cursor: pointer;
}
@container (max-width: 26rem) {
  .changes li { grid-template-columns: minmax(0, 1fr) auto; }
  .changes li .name { grid-column: 1 / -1; }
}
@media (forced-colors: active) {
  path.running, path.pending { stroke: CanvasText; }
  path.ground.ground { fill: CanvasText; }
  .key::before { border-color: CanvasText !important; }
  .tiles svg { color: CanvasText !important; }
  .ranges input:checked + span { border-color: Highlight; }
}
`;

export const HISTORY = `${PLOT}
.plot { margin-top: 0; }
.plot svg { height: 2.5rem; border-bottom: 0; border-radius: 4px; background: none; }
path.stable { fill: light-dark(#1da571, #60f4d3); }
path.processing { fill: light-dark(#c88a00, #fcc02b); }
path.gap.gap { stroke: light-dark(#8b95a1, #6b7683); stroke-width: 1; }
.legend { margin-top: .4rem; }
.legend > * { display: inline-flex; align-items: center; gap: .4rem; }
.legend > *::before { content: ""; width: .7rem; height: .7rem; border: 1px solid transparent; border-radius: 2px; }
.legend .stable::before { background: light-dark(#1da571, #60f4d3); }
.legend .processing::before { background: light-dark(#c88a00, #fcc02b); }
.legend .gap::before { border: 1px dashed light-dark(#5d6772, #a3adb8); }
@media (forced-colors: active) {
  .plot svg { border: 1px solid CanvasText; }
  path.stable { fill: Canvas; }
  path.processing { fill: CanvasText; }
  .legend > *::before { forced-color-adjust: none; border-color: CanvasText; }
  .legend .stable::before { background: Canvas; }
  .legend .processing::before { background: CanvasText; }
}
`;
