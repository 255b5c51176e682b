// The box around the face that was judged, drawn over pictures and over a clip that plays.

import { element } from "./elements.js";

/**
 * @typedef {object} Face - A box, as fractions of the picture.
 * @property {number} left
 * @property {number} top
 * @property {number} width
 * @property {number} height
 */

/**
 * A picture with the box over it.
 *
 * @param {HTMLElement} picture - The picture.
 * @param {Face | null} face
 * @returns {HTMLElement}
 */
export function framed(picture, face) {
  const frame = element("span", { class: "framed" }, picture);
  if (face !== null) {
    const box = element("span", { class: "face-box", "aria-hidden": "true" });
    place(box, face, { left: 0, top: 0, width: 1, height: 1 });
    frame.append(box);
  }
  return frame;
}

/**
 * Move a box to where a face is in a video that is shown whole, with bars beside or above it.
 *
 * @param {HTMLElement} box
 * @param {HTMLVideoElement} video - Fills the element around the box.
 * @param {Face | null} face
 */
export function placeOver(box, video, face) {
  const { videoWidth, videoHeight, clientWidth, clientHeight } = video;
  box.hidden = face === null || videoWidth === 0 || clientWidth === 0;
  if (!box.hidden) {
    const scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight);
    const [width, height] = [(scale * videoWidth) / clientWidth, (scale * videoHeight) / clientHeight];
    place(box, face, { left: (1 - width) / 2, top: (1 - height) / 2, width, height });
  }
}

function place(box, face, picture) {
  const sides = {
    left: picture.left + picture.width * face.left,
    top: picture.top + picture.height * face.top,
    width: picture.width * face.width,
    height: picture.height * face.height,
  };
  for (const [side, share] of Object.entries(sides)) {
    box.style.setProperty(`--${side}`, `${100 * share}%`);
  }
}
