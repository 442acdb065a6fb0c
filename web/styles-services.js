/** The looks of the services. Graphics and texts were measured in both themes: 3:1 and 4.5:1 at least. */

export const SERVICES = `
.services { position: relative; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; margin-bottom: .6rem; font-size: .875rem; }
.tools label { display: inline-flex; align-items: center; gap: .4rem; min-height: 1.75rem; }
.tools button { margin-inline-start: auto; min-width: 6.5rem; }
input[type="checkbox"] { width: 1.1rem; height: 1.1rem; margin: 0; accent-color: light-dark(#124fd6, #8fb2ff); }
select, .tools button {
  min-height: 1.75rem; padding: .1rem .5rem; border: 1px solid light-dark(#8b95a1, #6b7683); border-radius: 6px;
  background: light-dark(#fff, #14181f); color: inherit; font: inherit; font-size: .875rem;
}
select:disabled { color: light-dark(#5d6772, #a3adb8); border-style: dashed; }
.tools button { cursor: pointer; }
select:focus-visible, button:focus-visible, input:focus-visible, a:focus-visible, summary:focus-visible, .bars:focus-visible, .rows:focus-visible {
  outline: 2px solid light-dark(#185bff, #8fb2ff); outline-offset: 2px;
}
.counts { margin-bottom: .25rem; color: light-dark(#4b5460, #a9b3be); font-size: .875rem; font-variant-numeric: tabular-nums; }
.counts:empty, .error:empty { display: none; }
.error { margin-bottom: .4rem; color: light-dark(#92000f, #ff8e9c); font-size: .875rem; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; }
/* grids, since of a table every row is laid out whenever one comes */
.scroll > table, .scroll thead, .scroll tbody { display: block; }
.scroll tr { display: grid; grid-template-columns: 24% 6.6rem 22% 12% minmax(0, 1fr); align-items: center; }
.scroll tbody tr { content-visibility: auto; contain-intrinsic-block-size: auto 2.9rem; }
th, td { padding: .4rem .5rem .4rem 0; text-align: start; vertical-align: middle; }
thead th { color: light-dark(#4b5460, #a9b3be); font-size: .8125rem; font-weight: 600; }
tbody tr { border-top: 1px solid light-dark(#eceff2, #262d37); }
.name, .url, .tags { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.name { font-weight: 600; }
.status .quiet { display: block; }
.status .quiet:empty { display: none; }
.tags { color: light-dark(#4b5460, #a9b3be); }
a { color: light-dark(#124fd6, #8fb2ff); }
.bars {
  display: block; width: 100%; height: 32px; border-radius: 3px; cursor: crosshair;
  background: repeating-linear-gradient(135deg, light-dark(#f3f5f7, #1c222b) 0 4px, light-dark(#b9c0c9, #4b5460) 4px 5px);
}
.bars[data-loading] { opacity: .5; }
path.passing { fill: light-dark(#1da571, #60f4d3); }
path.warning { fill: light-dark(#da750c, #fcab0b); }
path.critical { fill: light-dark(#92000f, #db2844); }
path.unknown { fill: light-dark(#707985, #818c9a); }
.pointer { position: absolute; inset: 0; pointer-events: none; }
.bubble {
  position: absolute; z-index: 1; padding: .35rem .6rem; border: 1px solid light-dark(#20262e, #4b5460); border-radius: 6px;
  background: light-dark(#20262e, #2b323c); color: #fff; font-size: .8125rem; line-height: 1.4; white-space: nowrap;
}
.bubble div:first-child { opacity: .85; }
.numbers { margin-top: .5rem; font-size: .8125rem; }
summary { width: fit-content; min-height: 24px; color: light-dark(#124fd6, #8fb2ff); line-height: 24px; cursor: pointer; }
.rows { max-height: 15rem; margin-top: .4rem; overflow: auto; border: 1px solid light-dark(#e2e5ea, #262d37); border-radius: 6px; }
.rows table { font-size: .8125rem; font-variant-numeric: tabular-nums; }
.rows th, .rows td { padding: .2rem .6rem; text-align: end; }
.rows th:first-child { text-align: start; font-weight: 400; white-space: nowrap; }
.rows thead th { position: sticky; top: 0; background: light-dark(#eef0f3, #262d37); font-weight: 600; }
@container (max-width: 34rem) {
  .scroll tr { grid-template-columns: minmax(0, 1fr) auto; gap: 0 .75rem; padding: .4rem 0; }
  .scroll tbody tr { contain-intrinsic-block-size: auto 5.5rem; }
  .scroll th, .scroll td { padding: .1rem 0; }
  .scroll thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .url:empty, .tags:empty { display: none; }
  .history { grid-column: 1 / -1; }
}
@media (forced-colors: active) {
  .bars { border: 1px solid CanvasText; background: Canvas; }
  path.passing { fill: GrayText; } path.warning, path.unknown { fill: CanvasText; } path.critical { fill: Mark; }
}
`;
