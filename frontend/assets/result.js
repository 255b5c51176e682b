// Shows an answer: the top emotion, eight bars, what face and voice say apart, which frames counted, and what was
// missing.

import { bar, byId, element } from "./elements.js";
import { capitalised, headline, percent } from "./words.js";

/** Frames count alike where none is further from the mean than this. */
const EVEN = 0.005;

const STAGES = { upload: "Upload", queue: "Waiting", decode: "Decoding", inference: "Model", total: "Total" };

/**
 * Fill the result section.
 *
 * @param {import("./history.js").Entry} entry - Clip and answer.
 */
export function showResult({ clip, answer }) {
  byId("result-title").textContent = headline(answer);
  byId("result-clip").textContent = clip;
  byId("bars").replaceChildren(...answer.labels.map((label, index) => row(label, answer.probs[index], answer)));
  const lines = notes(answer);
  byId("notes").replaceChildren(...lines.map((line) => element("li", {}, line)));
  byId("notes").hidden = lines.length === 0;
  showBranches(answer);
  showAttention(answer.frame_attention);
  showDetails(answer);
}

function row(label, probability, answer) {
  const top = label === answer.top1.label;
  return element(
    "li",
    top ? { class: "top" } : {},
    element("span", { class: "label" }, capitalised(label)),
    bar("whole", probability),
    element("span", { class: "number" }, percent(probability)),
  );
}

/** What a person should know before they believe the numbers. */
function notes(answer) {
  const lines = Object.values(answer.missing);
  if (answer.modalities.video && answer.face === null) {
    lines.push("No face was found; the middle of the picture was used.");
  }
  if (answer.model === "mock") {
    lines.push("These numbers are made up: the server runs without a model.");
  }
  return lines;
}

function showBranches(answer) {
  const branches = [
    ["face", answer.video_probs],
    ["voice", answer.audio_probs],
  ];
  byId("branches").replaceChildren(
    ...answer.labels.map((label, index) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, capitalised(label)),
        ...branches.map(([kind, probs]) =>
          probs === null
            ? element("td", { class: "absent" }, "–")
            : element("td", {}, element("span", { class: "number" }, percent(probs[index])), bar(kind, probs[index])),
        ),
      ),
    ),
  );
  byId("branches-summary").textContent = branches
    .map(([kind, probs]) =>
      probs === null
        ? `There was no ${kind} to go by.`
        : `The ${kind} alone says ${answer.labels[probs.indexOf(Math.max(...probs))]}.`,
    )
    .join(" ");
}

function showAttention(attention) {
  const even = attention?.every((share) => Math.abs(share - 1 / attention.length) < EVEN);
  byId("attention").hidden = attention === null;
  byId("attention-summary").textContent = even
    ? "All pictures of the clip counted alike."
    : "How much each picture of the clip counted, from its beginning to its end.";
  byId("attention-columns").hidden = attention === null || even;
  const most = Math.max(...(attention ?? []));
  byId("attention-columns").replaceChildren(
    ...(attention ?? []).map((share) =>
      element(
        "li",
        {},
        bar("column", (100 * share) / most),
        element("span", { class: "number" }, `${Math.round(100 * share)} %`),
      ),
    ),
  );
}

function showDetails(answer) {
  const facts = [
    ["Model", `${answer.model}, version ${answer.model_version}`],
    ...Object.entries(answer.timings_ms).map(([stage, time]) => [STAGES[stage] ?? stage, `${Math.round(time)} ms`]),
    ["Request", answer.request_id],
  ];
  byId("details").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
}
