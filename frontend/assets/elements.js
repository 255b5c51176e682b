// Makes elements. Text goes in as text, never as HTML; sizes go in as custom properties, which the content security
// policy allows where it forbids style attributes.

/**
 * Make an element.
 *
 * @param {string} name - Its tag.
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/**
 * A bar that is decoration only: the number stands beside it.
 *
 * @param {string} kind - Its class beside `bar`.
 * @param {number} percent - Its length.
 * @returns {HTMLElement}
 */
export function bar(kind, percent) {
  const made = element("span", { class: `bar ${kind}`, "aria-hidden": "true" });
  made.style.setProperty("--share", `${percent}%`);
  return made;
}

/** @param {string} id @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);
