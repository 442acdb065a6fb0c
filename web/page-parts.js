import { html, setAttributes } from "./dom.js";
import * as parts from "./parts.js";

/**
 * A card for each part, below `above`, as far as the server has what it shows.
 * @param {HTMLElement} above @param {import("./page-overview.js").Overview} overview
 */
export function showParts(above, overview) {
  above.after(...Object.entries(parts).map(([name, part]) => card(name, part, overview)));
}

/** @param {string} name @param {import("./part.js").Part} part @param {import("./page-overview.js").Overview} overview */
function card(name, { tag, title }, overview) {
  const element = document.createElement(tag);
  const heading = html("h2", { id: `${name}-title`, slot: "title" }, title);
  element.append(heading);
  const section = html("section", { class: "card", id: name, "aria-labelledby": heading.id, tabindex: -1, hidden: true }, element);
  overview.add(name, title);
  setAttributes(element, { filter: new URLSearchParams(location.search).get(name) });
  element.addEventListener(`${tag}-filter`, () => link(name, element.getAttribute("filter")));
  element.addEventListener(`${tag}-change`, (event) => {
    const { state, tally } = /** @type {CustomEvent} */ (event).detail;
    const before = section.hidden;
    section.hidden = state === "loading" || state === "absent";
    overview.tell(name, state, tally);
    if (before && !section.hidden && location.hash === `#${name}`) section.scrollIntoView(); // the link was followed before it was there
  });
  return section;
}

/** The address leads to what is shown. @param {string} name @param {string | null} filter */
function link(name, filter) {
  const address = new URL(location.href);
  if (filter) address.searchParams.set(name, filter);
  else address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}
