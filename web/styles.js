/** The looks of the element, as text for constructed sheets. Colours follow the page's `color-scheme`, sizes its font. */

const UNSEEN = `
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden] { display: none !important; }
`;

/** Custom properties on the host may be set from outside; the contrast of their defaults was measured in both themes. */
export const BADGE = `${UNSEEN}
:host {
  --system-status-stable: light-dark(#068460, #60f4d3);
  --system-status-processing: light-dark(#a36a00, #fcc02b);
  --system-status-unknown: light-dark(#5d6772, #a3adb8);
  --system-status-radius: 999px;
  display: inline-flex; flex-wrap: wrap; align-items: center; gap: .5em; vertical-align: middle;
}
:host([hidden]) { display: none; }
button { font: inherit; cursor: pointer; }
button:focus-visible, a:focus-visible, .body:focus-visible { outline: 2px solid light-dark(#185bff, #8fb2ff); outline-offset: 2px; }
.anchor { display: inline-flex; }
.badge {
  --tone: var(--system-status-unknown);
  --surface: color-mix(in srgb, var(--tone) 10%, light-dark(#fff, #14181f));
  display: inline-flex; align-items: center; gap: .5em; min-height: 24px; padding: .32em .85em .32em .6em;
  border: 1px solid color-mix(in srgb, var(--tone) 55%, transparent); border-radius: var(--system-status-radius);
  background: var(--surface); color: color-mix(in srgb, var(--tone) 72%, light-dark(#000, #fff));
  font-weight: 600; line-height: 1.3; white-space: nowrap;
}
.badge[data-state="stable"] { --tone: var(--system-status-stable); }
.badge[data-state="processing"] {
  --tone: var(--system-status-processing);
  --surface: light-dark(color-mix(in srgb, #ffd24a 38%, #fff), color-mix(in srgb, var(--tone) 14%, #14181f));
}
.badge[data-state="unknown"], .badge[data-state="loading"] { border-style: dashed; border-color: var(--tone); }
.stack { display: inline-grid; align-items: center; text-align: start; }
.stack > * { grid-area: 1 / 1; visibility: hidden; }
.badge[data-state="loading"] [data-for="loading"], .badge[data-state="stable"] [data-for="stable"],
.badge[data-state="processing"] [data-for="processing"], .badge[data-state="unknown"] [data-for="unknown"] { visibility: visible; }
svg { width: 1.1em; height: 1.1em; color: var(--tone); }
.details {
  min-height: 24px; padding: .32em .7em; border: 1px solid transparent; border-radius: var(--system-status-radius);
  background: none; color: inherit; font-size: .925em; line-height: 1.3; text-decoration: underline;
  text-decoration-color: color-mix(in srgb, currentColor 40%, transparent); text-underline-offset: .2em;
}
.details:hover { background: color-mix(in srgb, currentColor 8%, transparent); text-decoration-color: currentColor; }
.tooltip {
  position: fixed; inset: auto; margin: 0; max-width: min(22rem, calc(100vw - 24px)); padding: .4rem .65rem;
  border: 1px solid light-dark(#20262e, #4b5460); border-radius: 6px; background: light-dark(#20262e, #2b323c); color: #fff;
  font: 400 .8125rem/1.4 system-ui, sans-serif; white-space: normal;
}
@media (prefers-reduced-motion: no-preference) {
  .badge { transition: background-color .2s, border-color .2s, color .2s; }
  .turning, .spinner { animation: turn 1.6s linear infinite; }
  .turning { transform-origin: 8px 8px; }
}
@keyframes turn { to { transform: rotate(1turn); } }
@media (forced-colors: active) {
  .badge, .badge[data-state] { border-color: ButtonText; }
  .tooltip, .details { border-color: CanvasText; }
  svg { color: inherit; }
}
`;

export const MODAL = `
dialog {
  box-sizing: border-box; width: min(600px, calc(100vw - 32px)); max-width: 600px; max-height: none; padding: 0; overflow: hidden;
  border: 1px solid light-dark(#d4d9df, #333b46); border-radius: 12px;
  background: light-dark(#fff, #171c23); color: light-dark(#1b2129, #e3e8ee);
  box-shadow: 0 24px 64px -16px rgb(0 0 0 / 45%); font-size: 1rem; font-weight: 400; line-height: 1.5; text-align: start;
}
dialog::backdrop { background: rgb(10 14 20 / 50%); }
header { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: .9rem 1rem .9rem 1.25rem; }
h2 { margin: 0; font-size: 1.125rem; font-weight: 650; line-height: 1.3; }
.close {
  width: 2rem; height: 2rem; flex: none; padding: 0; border: 1px solid transparent; border-radius: 6px; background: none; color: inherit;
  font-size: 1.4rem; line-height: 1;
}
.close:hover { background: light-dark(#eef0f3, #262d37); }
.body {
  box-sizing: border-box; min-height: 5.5rem; max-height: 60vh; overflow-y: auto; overscroll-behavior: contain;
  padding: 1.1rem 1.25rem; border-top: 1px solid light-dark(#e6e9ed, #272e38);
}
.body:focus-visible { outline-offset: -3px; border-radius: 4px; }
.loading { display: flex; align-items: center; gap: .6rem; margin: 0; color: light-dark(#4b5460, #a9b3be); }
.spinner { width: 1rem; height: 1rem; border: 2px solid color-mix(in srgb, currentColor 25%, transparent);
  border-top-color: currentColor; border-radius: 50%; }
.error p { margin: 0 0 .75rem; color: light-dark(#92000f, #ff8e9c); overflow-wrap: anywhere; }
.error p + p { color: inherit; }
.error a { color: light-dark(#124fd6, #8fb2ff); }
footer { padding: .8rem 1.25rem; border-top: 1px solid light-dark(#e6e9ed, #272e38); color: light-dark(#4b5460, #a9b3be); font-size: .875rem; line-height: 1.3rem; }
footer:empty { display: none; }
@media (forced-colors: active) { dialog, .close { border-color: CanvasText; } }
`;

/** @param {string} within  a native bar in our colours */
export const bar = (within) => `
${within} progress {
  display: block; box-sizing: border-box; width: 100%; height: .5rem; margin-top: .5rem; overflow: hidden; appearance: none;
  border: 0; border-radius: 99px; background: light-dark(#e2e6eb, #2c343f); color: light-dark(#185bff, #6f9bff);
}
${within} progress::-webkit-progress-bar { background: light-dark(#e2e6eb, #2c343f); }
${within} progress::-webkit-progress-value { border-radius: 99px; background: light-dark(#185bff, #6f9bff); }
${within} progress::-moz-progress-bar { border-radius: 99px; background: light-dark(#185bff, #6f9bff); }
@media (prefers-reduced-motion: no-preference) { ${within} progress::-webkit-progress-value { transition: inline-size .3s; } }
@media (forced-colors: active) {
  ${within} progress { height: .75rem; border: 1px solid CanvasText; background: Canvas; }
  ${within} progress::-webkit-progress-bar { background: Canvas; }
  ${within} progress::-webkit-progress-value { forced-color-adjust: none; background: Highlight; }
  ${within} progress::-moz-progress-bar { forced-color-adjust: none; background: Highlight; }
}
`;

/** The lists of what is in progress: in the modal, and on the page. */
export const WORK = `${bar(".work")}
.work section + section, .work .empty + section { margin-top: 1.5rem; }
.work h3 { margin: 0 0 .25rem; font-size: .8125rem; font-weight: 600; letter-spacing: .01em; color: light-dark(#4b5460, #a9b3be); }
.work ul { margin: 0; padding: 0; list-style: none; }
.work li { padding: .7rem 0; }
.work li:last-child { padding-bottom: 0; }
.work li + li { border-top: 1px solid light-dark(#eceff2, #262d37); }
.work .line { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; }
.work .name { min-width: 0; overflow: hidden; font-weight: 550; text-overflow: ellipsis; white-space: nowrap; }
.work .state { flex: none; max-width: 50%; font-size: .875rem; color: light-dark(#4b5460, #a9b3be); }
.work .rows, .work .more { margin: .2rem 0 0; font-size: .8125rem; font-variant-numeric: tabular-nums; color: light-dark(#4b5460, #a9b3be); }
.work .empty p { margin: 0; color: light-dark(#4b5460, #a9b3be); }
`;

/** What every part of one topic starts from. */
export const PART = `${UNSEEN}
@media print { button, select, input, summary, [role="group"].filter { display: none !important; } }
:host { display: block; container-type: inline-size; font-size: 1rem; font-weight: 400; line-height: 1.5; text-align: start; }
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 1rem; margin-bottom: .6rem; }
:host([hidden]) { display: none; }
p, ul, figure { margin: 0; padding: 0; }
ul { list-style: none; }
.quiet, .way, .empty { color: light-dark(#4b5460, #a9b3be); font-size: .8125rem; font-variant-numeric: tabular-nums; }
.empty { font-size: 1rem; }
.way { margin-inline-start: auto; font-size: .875rem; }
.as-of:not([hidden]) { display: inline-block; }
span:not(:empty) + .as-of::first-letter { text-transform: uppercase; }
:host([way="loading"]) .way:not([data-waiting]) { visibility: hidden; }
:host([way="lost"]) .way, :host([way="polling"]) .way { color: light-dark(#7a4d00, #fcc02b); }
:focus-visible { outline: 2px solid light-dark(#185bff, #8fb2ff); outline-offset: 2px; }
svg { flex: none; }
.name { min-width: 0; overflow: hidden; font-weight: 550; text-overflow: ellipsis; white-space: nowrap; }
.filter { display: flex; flex-wrap: wrap; gap: .4rem; margin-bottom: .6rem; }
.filter input, .filter button, .more {
  min-height: 2rem; padding: .1rem .7rem; border: 1px solid light-dark(#7a838e, #6b7683); border-radius: 6px; background: none; color: inherit;
  font: inherit; font-size: .875rem;
}
.filter input { flex: 1 1 9rem; min-width: 0; max-width: 18rem; }
.filter input::placeholder { color: light-dark(#5d6772, #a3adb8); opacity: 1; }
.filter button { display: inline-flex; align-items: center; gap: .35em; border-color: light-dark(#d4d9df, #333b46); font-variant-numeric: tabular-nums; cursor: pointer; }
.filter button:hover { background: light-dark(#f3f5f7, #1c222b); }
.filter button[aria-pressed="true"] { border-color: light-dark(#1b2129, #e3e8ee); background: light-dark(#e9ecf0, #262d37); font-weight: 600; }
.filter svg { width: 1rem; height: 1rem; color: var(--tone); }
.more { margin-top: .6rem; cursor: pointer; }
.filter .turning { animation: none; }
.empty:empty { display: none; }
.unset { display: flex; align-items: center; gap: .6rem; color: light-dark(#4b5460, #a9b3be); }
.unset svg { width: 1.15rem; height: 1.15rem; }
.unset strong { color: light-dark(#1b2129, #e3e8ee); font-weight: 600; }
.unset code { font-size: .9em; overflow-wrap: anywhere; }
[data-level="ok"] { --tone: light-dark(#068460, #60f4d3); }
[data-level="critical"] { --tone: light-dark(#92000f, #ff8e9c); }
[data-level="warning"] { --tone: light-dark(#a36a00, #fcab0b); }
[data-level="processing"] { --tone: light-dark(#185bff, #8fb2ff); }
[data-level="unknown"] { --tone: light-dark(#5d6772, #a3adb8); }
[data-colour="green"] { --tone: light-dark(#068460, #60f4d3); }
[data-colour="red"] { --tone: light-dark(#b00020, #ff8e9c); }
[data-colour="yellow"] { --tone: light-dark(#a36a00, #fcc02b); }
[data-colour="blue"] { --tone: light-dark(#185bff, #8fb2ff); }
[data-colour="grey"] { --tone: light-dark(#5d6772, #a3adb8); }
@media (prefers-reduced-motion: no-preference) {
  .turning, .spinner { animation: turn 1.6s linear infinite; transform-origin: 8px 8px; }
}
@keyframes turn { to { transform: rotate(1turn); } }
@media print { .filter { display: none; } time::after { content: " (" attr(datetime) ")"; } }
@media (forced-colors: active) { .filter button[aria-pressed="true"] { border: 2px solid Highlight; } .filter svg { color: ButtonText; } }
`;
