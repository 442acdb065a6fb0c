import { html } from "./dom.js";
import { icon } from "./icons.js";

/**
 * What stands where nobody set up what a section shows: that is neither well nor ill.
 * @param {string} before @param {string} setting  which sets it up @param {string} after
 */
export function unset(before, setting, after) {
  const words = html("span", {}, html("strong", {}, "Not set up."), ` ${before} `, html("code", {}, setting), after);
  return html("p", { class: "unset", part: "unset", hidden: true }, icon("unset"), words);
}
