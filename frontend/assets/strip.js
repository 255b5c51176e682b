// A row of pictures. They are shown from memory, and what shows them lets go of the last ones first.

import { element } from "./elements.js";

/** @type {WeakMap<HTMLElement, string[]>} */
const addresses = new WeakMap();

/**
 * Show pictures in a list, in place of those that are there.
 *
 * @param {HTMLElement} list
 * @param {Blob[]} pictures
 * @param {(index: number) => Node[]} [caption] - What stands below each.
 */
export function showPictures(list, pictures, caption = () => []) {
  for (const address of addresses.get(list) ?? []) {
    URL.revokeObjectURL(address);
  }
  const urls = pictures.map((picture) => URL.createObjectURL(picture));
  addresses.set(list, urls);
  list.replaceChildren(
    ...urls.map((src, index) =>
      element("li", {}, element("img", { src, alt: `Picture ${index + 1}` }), ...caption(index)),
    ),
  );
}
