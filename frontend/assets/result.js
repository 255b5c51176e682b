// Shows an answer of the gateway.

const percent = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const capitalised = (word) => word.charAt(0).toUpperCase() + word.slice(1);

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function bar(label, probability, isTop) {
  const item = element("li", isTop ? "top" : "", "");
  const progress = element("progress", "", "");
  progress.max = 100;
  progress.value = probability;
  progress.setAttribute("aria-label", label);
  item.append(
    element("span", "label", capitalised(label)),
    progress,
    element("span", "number", `${percent.format(probability)} %`),
  );
  return item;
}

function notes(answer) {
  const lines = Object.values(answer.missing);
  if (answer.modalities.video && answer.face === null) {
    lines.push("No face was found; the middle of the picture was used.");
  }
  if (answer.model === "mock") {
    lines.push("These numbers are made up: the server runs without a model.");
  }
  return lines.map((line) => element("li", "", line));
}

/**
 * Fill the result section and show it.
 *
 * @param {HTMLElement} section - The section.
 * @param {object} answer - The body of `POST /predict`.
 */
export function showResult(section, answer) {
  const top = section.querySelector("#top");
  top.textContent = `${capitalised(answer.top1.label)} – ${percent.format(answer.top1.prob)} %`;
  section
    .querySelector("#bars")
    .replaceChildren(
      ...answer.labels.map((label, index) => bar(label, answer.probs[index], label === answer.top1.label)),
    );
  section.querySelector("#notes").replaceChildren(...notes(answer));
  section.querySelector("#details").textContent =
    `Model ${answer.model}, version ${answer.model_version}, ${Math.round(answer.timings_ms.total)} ms`;
  section.hidden = false;
  top.focus();
}
