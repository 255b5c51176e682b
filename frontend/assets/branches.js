// What the face says against what the voice says: both beside each other, grown from the middle, so that it is seen at
// once where they disagree.

import { bar, byId, element } from "./elements.js";
import { capitalised, percent } from "./words.js";

/**
 * @param {import("./api.js").Answer} answer
 */
export function showBranches({ labels, video_probs, audio_probs }) {
  byId("branches").replaceChildren(
    ...labels.map((label, index) =>
      element(
        "tr",
        {},
        cell("face", video_probs?.[index]),
        element("th", { scope: "row" }, capitalised(label)),
        cell("voice", audio_probs?.[index]),
      ),
    ),
  );
  const says = { face: mostOf(labels, video_probs), voice: mostOf(labels, audio_probs) };
  byId("branches-summary").textContent =
    says.face !== null && says.face === says.voice
      ? `Face and voice alone both say ${says.face}.`
      : Object.entries(says)
          .map(([kind, label]) =>
            label === null ? `There was no ${kind} to go by.` : `The ${kind} alone says ${label}.`,
          )
          .join(" ");
}

function cell(kind, probability) {
  return probability === undefined
    ? element("td", { class: `${kind} absent` }, "–")
    : element(
        "td",
        { class: kind },
        element("span", { class: "number" }, percent(probability)),
        bar(kind, probability),
      );
}

function mostOf(labels, probs) {
  return probs === null ? null : labels[probs.indexOf(Math.max(...probs))];
}
