// Shows an answer: the top emotion, eight bars, what should be known before they are believed, and where the time went.

import { showAttention } from "./attention.js";
import { showBranches } from "./branches.js";
import { bar, byId, element } from "./elements.js";
import { hints } from "./quality.js";
import { validationOf } from "./server.js";
import { capitalised, headline, percent } from "./words.js";

const STAGES = { upload: "Upload", queue: "Waiting", decode: "Decoding", inference: "Model", total: "Total" };

const SENT = { sampled: "Pictures and sound", video: "The whole clip" };

/**
 * Fill the result section.
 *
 * @param {import("./history.js").Entry} entry - Clip and answer.
 * @param {AbortSignal} signal - Ends it.
 */
export async function showResult(entry, signal) {
  const { clip, answer } = entry;
  byId("result-title").textContent = headline(answer);
  byId("result-clip").textContent = clip.name;
  byId("result").classList.toggle("uncertain", answer.uncertain);
  byId("uncertain").hidden = !answer.uncertain;
  byId("runner-up").textContent = runnerUp(answer);
  byId("bars").replaceChildren(...answer.labels.map((label, index) => row(label, answer.probs[index], answer)));
  const lines = notes(answer);
  byId("notes").replaceChildren(...lines.map((line) => element("li", {}, line)));
  byId("notes").hidden = lines.length === 0;
  byId("explanation").textContent = answer.explanation ?? "";
  byId("explained").hidden = answer.explanation === null;
  showBranches(answer);
  showDetails(entry);
  byId("basis").textContent = basis(answer);
  showAttention(answer.frame_attention, [], answer.face);
  const pictures = await entry.pictures;
  if (!signal.aborted) {
    showAttention(answer.frame_attention, pictures, answer.face);
  }
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

/** What the answer is based on: both, or the one that was found. */
function basis({ modalities }) {
  if (modalities.video && modalities.audio) {
    return "Face and voice together";
  }
  return modalities.video ? "The face alone" : "The voice alone";
}

/** The second is part of an uncertain answer: it might as well be that. */
function runnerUp({ labels, probs, top1 }) {
  const others = labels.map((label, index) => [label, probs[index]]).filter(([label]) => label !== top1.label);
  const [label, probability] = others.reduce((best, other) => (other[1] > best[1] ? other : best));
  return `This is little more than a guess; ${label} follows with ${percent(probability)}.`;
}

function notes(answer) {
  const madeUp = answer.model === "mock" ? ["These numbers are made up: the server runs without a model."] : [];
  return [...madeUp, ...(answer.note === null ? [] : [answer.note]), ...hints(answer)];
}

function showDetails({ answer, sent }) {
  const validation = validationOf(answer.model, answer.model_version, answer.modalities);
  const facts = [
    ["Sent", SENT[sent]],
    ["Model", `${answer.model}, version ${answer.model_version}`],
    ...(validation
      ? [["Right in validation", `${percent(validation.percent)} of ${validation.clips} clips, ${validation.basis}`]]
      : []),
    ...Object.entries(answer.timings_ms).map(([stage, time]) => [STAGES[stage] ?? stage, `${Math.round(time)} ms`]),
    ["Request", answer.request_id],
  ];
  byId("details").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
}
