// What the server says of itself: the numbers of its tensor contract, so that the page repeats none, and its models.

import { get } from "./api.js";

/**
 * @typedef {object} Contract - The body of `GET /contract`, as far as the page uses it.
 * @property {number} window_seconds - What the model reads of a clip.
 * @property {number} sample_rate - Of its sound, in Hz.
 * @property {number[]} sample_times - When its pictures are taken, in seconds from the start of the window.
 * @property {{frame_longest_side: number, jpeg_quality: number}} sampled - How pictures are sent.
 * @property {{timeline_step_min: number}} limits - The shortest step of a timeline, in seconds.
 * @property {{api_key: boolean, explain: boolean}} features - What this server wants and can do.
 *
 * @typedef {object} Model - An entry of `GET /models`, as far as the page uses it.
 * @property {string} name
 * @property {string[]} versions
 * @property {boolean} ready
 * @property {boolean} default
 * @property {{validation?: Record<string, number | {accuracy?: number}>} | null} metrics - Of its newest version: the
 *   number of `clips`, and how often it was right with `both`, by `video only`, and by `audio only`.
 */

const FACE_ALONE = ["video only", "by the face alone"];
const VOICE_ALONE = ["audio only", "by the voice alone"];

/** @type {Promise<Contract> | null} */
let asked = null;

/** @type {Model[]} - As the server said last. */
let known = [];

/**
 * The contract, asked for once; after a failure, again.
 *
 * @returns {Promise<Contract>}
 * @throws {import("./failures.js").Failure} Why the server does not say.
 */
export function contract() {
  asked ??= get("contract").catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

/**
 * The models that answer.
 *
 * @param {string} key - API key.
 * @returns {Promise<Model[]>} None where the server does not say: it then chooses itself.
 */
export async function readyModels(key) {
  try {
    known = (await get("models", key)).models.filter((model) => model.ready);
  } catch {
    known = [];
  }
  return known;
}

/**
 * How often a model was right when it was validated, as far as the server has said.
 *
 * @param {string} name
 * @param {string} version
 * @param {{video: boolean, audio: boolean}} [modalities] - What it went by.
 * @returns {{percent: number, clips: number, basis: string} | null}
 */
export function validationOf(name, version, { video, audio } = { video: true, audio: true }) {
  const model = known.find((other) => other.name === name && other.versions.at(-1) === version);
  const validation = model?.metrics?.validation ?? {};
  const [kind, basis] = video && audio ? ["both", "by face and voice"] : video ? FACE_ALONE : VOICE_ALONE;
  const { clips, [kind]: measured } = validation;
  return clips && measured?.accuracy ? { percent: 100 * measured.accuracy, clips, basis } : null;
}
