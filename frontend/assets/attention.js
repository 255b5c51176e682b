// The pictures that the model looked at, each with how much it counted.

import { bar, byId, element } from "./elements.js";
import { showPictures } from "./strip.js";

/** Pictures count alike where none is further from the mean than this. */
const EVEN = 0.005;

/**
 * @param {number[] | null} attention - Share of each picture, summing to 1; null without video.
 * @param {Blob[]} pictures - The pictures; none where this browser cannot show them.
 * @param {import("./face.js").Face | null} face - Whom it looked at.
 */
export function showAttention(attention, pictures, face) {
  byId("attention").hidden = attention === null;
  if (attention === null) {
    return;
  }
  const isEven = attention.every((share) => Math.abs(share - 1 / attention.length) < EVEN);
  const counted = isEven
    ? "All pictures of the clip counted alike."
    : "How much each picture of the clip counted, from its beginning to its end.";
  byId("attention-summary").textContent = face === null ? counted : `${counted} The box marks the face.`;
  const most = Math.max(...attention);
  const caption = (index) =>
    isEven
      ? []
      : [
          bar("share", (100 * attention[index]) / most),
          element("span", { class: "number" }, `${Math.round(100 * attention[index])} %`),
        ];
  const list = byId("attention-pictures");
  showPictures(list, pictures, face, caption);
  list.hidden = pictures.length === 0 && isEven;
  if (pictures.length === 0) {
    list.replaceChildren(...attention.map((_, index) => element("li", {}, ...caption(index))));
  }
}
