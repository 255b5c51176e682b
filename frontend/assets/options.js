// What the person can choose before sending: what leaves the device, which model answers, and whether it is put in
// words. The choices last as long as the page.

import { canSample } from "./capture.js";
import { byId, element } from "./elements.js";
import { contract, readyModels, validationOf } from "./server.js";
import { showPictures } from "./strip.js";
import { percent, size } from "./words.js";

/** @typedef {"sampled" | "video"} Mode - Pictures and sound drawn from the camera, or the whole clip. */

/** @type {Mode} */
let preferred = "sampled";
let key = "";

/** @returns {import("./api.js").Wishes} */
export function chosenWishes() {
  const [name, version] = byId("model").value.split("/");
  return { key, model: name ? { name, version } : null, explain: byId("explain").checked };
}

/**
 * How a clip is sent.
 *
 * @param {import("./machine.js").Clip} clip
 * @returns {Mode}
 */
export const modeOf = (clip) => (clip.samples === null ? "video" : preferred);

/** @param {string} value - The API key that the person has typed. */
export function useKey(value) {
  key = value.trim();
  byId("early-key").value = key;
  showModels();
}

/**
 * Let the person choose for a clip.
 *
 * @param {import("./machine.js").Clip} clip
 */
export async function showOptions(clip) {
  byId("modes").hidden = clip.source === "file";
  byId("mode-sampled").disabled = clip.samples === null;
  byId(`mode-${modeOf(clip)}`).checked = true;
  byId("video-size").textContent = size(clip.blob.size);
  byId("sampled-size").textContent = clip.samples === null ? "not possible in this browser" : describe(clip.samples);
  showPictures(byId("to-be-sent"), clip.samples?.frames ?? []);
  showMode(clip);
  const { features } = await contract().catch(() => ({ features: { api_key: false, explain: false } }));
  byId("explain-choice").hidden = !features.explain;
  byId("key-choice").hidden = !features.api_key || key !== "";
}

/** Fill the list of models; it is shown where there is a choice. */
export async function showModels() {
  const models = await readyModels(key);
  const chosen = byId("model").value;
  const versions = models.flatMap(({ name, versions, default: isDefault }) =>
    versions.map((version, index) => ({ name, version, isDefault: isDefault && index === versions.length - 1 })),
  );
  byId("model").replaceChildren(
    ...versions
      .toSorted((one, other) => other.isDefault - one.isDefault)
      .map(({ name, version, isDefault }) =>
        // The server's own choice is asked for by asking for none: it may change meanwhile.
        element(
          "option",
          { value: isDefault ? "" : `${name}/${version}` },
          `${name}, version ${version}${isDefault ? " (standard)" : ""}${howRight(name, version)}`,
        ),
      ),
  );
  byId("model").value = chosen;
  if (byId("model").selectedIndex < 0) {
    byId("model").value = "";
  }
  byId("model-choice").hidden = versions.length < 2;
}

/**
 * Follow the person's choices.
 *
 * @param {() => import("./machine.js").Clip | undefined} currentClip - The clip on show.
 */
export function watchOptions(currentClip) {
  for (const choice of document.querySelectorAll("input[name=mode]")) {
    choice.addEventListener("change", () => {
      preferred = choice.value;
      showMode(currentClip());
    });
  }
  byId("early-key").addEventListener("change", () => useKey(byId("early-key").value));
  byId("key-choice").addEventListener("submit", (event) => event.preventDefault());
}

/** Say before a recording what may become of it. */
export function showPlan() {
  byId("will-send").textContent = canSample()
    ? "Afterwards you choose what is sent: eight pictures and the sound, or the whole recording."
    : "This browser cannot draw pictures as it records: the whole recording is sent.";
}

function howRight(name, version) {
  const found = validationOf(name, version);
  return found === null ? "" : `, right on ${percent(found.percent)} in validation`;
}

function showMode(clip) {
  byId("to-be-sent").hidden = clip === undefined || modeOf(clip) !== "sampled" || clip.samples.frames.length === 0;
}

function describe({ frames, audio }) {
  const bytes = [...frames, ...(audio === null ? [] : [audio])].reduce((sum, blob) => sum + blob.size, 0);
  return `${size(bytes)}; the video stays on this device`;
}
