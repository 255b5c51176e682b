// A row of pictures. They are shown from memory, and what shows them lets go of the last ones first.

import { element } from "./elements.js";
import { framed } from "./face.js";

/** @type {WeakMap<HTMLElement, string[]>} */
const addresses = new WeakMap();

/**
 * Show pictures in a list, in place of those that are there.
 *
 * @param {HTMLElement} list
 * @param {Blob[]} pictures
 * @param {import("./face.js").Face | null} [face] - The box that is drawn over each.
 * @param {(index: number) => Node[]} [caption] - What stands below each.
 */
export function showPictures(list, pictures, face = null, caption = () => []) {
  for (const address of addresses.get(list) ?? []) {
    URL.revokeObjectURL(address);
  }
  const urls = pictures.map((picture) => URL.createObjectURL(picture));
  addresses.set(list, urls);
  list.replaceChildren(
    ...urls.map((src, index) =>
      element("li", {}, framed(element("img", { src, alt: `Picture ${index + 1}` }), face), ...caption(index)),
    ),
  );
}
