/**
 * Elements from plain calls. No markup is ever parsed, so nothing that a database holds can become one,
 * and a page that demands trusted types is content.
 *
 * @typedef {Record<string, string | number | boolean | null>} Attributes  false and null leave the attribute out
 */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name @param {Attributes} [attributes] @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** @param {string} name @param {Attributes} [attributes] @param {...Node} children @returns {SVGElement} */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/**
 * Writes only what differs: what did not change is not announced, not selected anew, not repainted.
 * @param {Element} element @param {Attributes} attributes
 */
export function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
      element.setAttribute(name, String(value === true ? "" : value));
    }
  }
}

/**
 * Browsers differ in whether a table that is laid out otherwise is still one, so it says so.
 * @template {Element} Within @param {Within} within @returns {Within}
 */
export function asTable(within) {
  const roles = { table: "table", "thead, tbody": "rowgroup", tr: "row", "th[scope=col]": "columnheader", "th[scope=row]": "rowheader", td: "cell" };
  for (const [selector, role] of Object.entries(roles)) {
    for (const element of [within, ...within.querySelectorAll(selector)]) if (element.matches(selector)) setAttributes(element, { role });
  }
  return within;
}

/** @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {CSSStyleSheet[]} adopted @param {string} css  a sheet of our own passes a strict Content-Security-Policy */
export function adopt(adopted, css) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  adopted.push(sheet);
}
