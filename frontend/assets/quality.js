// How well a clip could be seen and heard, in words that say what to do about it.

/**
 * @typedef {object} Quality - As the server measured it.
 * @property {number | null} face_height - As a fraction of the picture's.
 * @property {number | null} brightness - Of what the model looked at, from 0 to 1.
 * @property {number | null} audio_level - In dB relative to full scale.
 * @property {number | null} clipping - Share of samples that are cut off, from 0 to 1.
 * @property {number} padding - Share of the window that the clip does not fill, from 0 to 1.
 */

/** A face this low, of the picture's height, has fewer pixels than the model looks at in a picture of 480 lines. */
const SMALL_FACE = 0.2;

// A lit face lies between these by far; beyond them little of it is left to see.
const DARK = 0.15;
const BRIGHT = 0.95;

/** Below the noise of a quiet room, in dB relative to full scale. */
const SILENT = -60;

/** More than a few samples in a thousand that are cut off are heard as distortion. */
const DISTORTED = 0.003;

/** Of three seconds, half of one. */
const SHORT = 1 / 6;

/**
 * What a person should know of the clip before they believe the numbers.
 *
 * @param {Pick<import("./api.js").Answer, "quality" | "modalities" | "missing">} answer
 * @returns {string[]} Sentences, none where all is well.
 */
export function hints({ quality, modalities, missing }) {
  const { face_height, brightness, audio_level, clipping, padding } = quality;
  const found = [
    [face_height !== null && face_height < SMALL_FACE, "The face is small: come closer to the camera."],
    [brightness !== null && brightness < DARK, "The picture is too dark: turn on a light in front of you."],
    [brightness !== null && brightness > BRIGHT, "The picture is too bright: turn away from the light."],
    [modalities.audio && audio_level < SILENT, "There is hardly any sound: speak up, or check the microphone."],
    [clipping !== null && clipping > DISTORTED, "The sound is distorted: move away from the microphone."],
    [padding > SHORT, "The clip is short: what is missing of its time was filled with silence."],
  ];
  return [...Object.values(missing), ...found.filter(([is]) => is).map(([, sentence]) => sentence)];
}
