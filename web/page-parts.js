import { html } from "./dom.js";
import * as parts from "./parts.js";

/** A card for each part, below `above`, as far as the server has what it shows. @param {HTMLElement} above */
export function showParts(above) {
  above.after(...Object.entries(parts).map(([name, part]) => card(name, part)));
}

/** @param {string} name @param {import("./part.js").Part} part */
function card(name, { tag, title }) {
  const element = document.createElement(tag);
  const heading = html("h2", { id: `${name}-title`, slot: "title" }, title);
  element.append(heading);
  const section = html("section", { class: "card", id: name, "aria-labelledby": heading.id, hidden: true }, element);
  element.addEventListener(`${tag}-change`, () => (section.hidden = ["loading", "absent"].includes(element.getAttribute("state") ?? "")));
  return section;
}
