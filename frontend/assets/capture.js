// A recording: the video, to be looked at again, and beside it the few pictures and the sound that the model needs, so
// that the person can choose which of the two leaves the device.

import { canDrawFrames, FrameKeeper } from "./pictures.js";
import { record } from "./recorder.js";
import { canKeepSound, listen, soundFile } from "./sound.js";

/** A recorder loses up to about this many seconds at its end, so it runs longer, to be no shorter than the window. */
const LOST_SECONDS = 0.12;

/** The server reads the middle of a recording, so the samples begin a little later than it, too. */
const BEGIN_SECONDS = 0.025;

/**
 * @typedef {object} Samples - What the model needs of a recording.
 * @property {Blob[]} frames - JPEGs; none without a camera.
 * @property {number[]} times - What they show: the picture at each, in seconds from the start.
 * @property {Blob | null} audio - A WAV file; null without a microphone.
 */

/** @returns {boolean} Whether this browser can draw the samples. */
export const canSample = () => canDrawFrames() && canKeepSound();

/**
 * How pictures are made for the server.
 *
 * @param {import("./server.js").Contract} contract
 * @returns {import("./pictures.js").Form}
 */
export const pictureForm = ({ sampled }) => ({
  longestSide: sampled.frame_longest_side,
  quality: sampled.jpeg_quality,
});

/**
 * Record for as long as the model reads.
 *
 * @param {MediaStream} stream - The open camera.
 * @param {HTMLVideoElement} preview - That shows it.
 * @param {import("./server.js").Contract} contract
 * @param {AbortSignal} signal - Ends the recording and throws it away.
 * @param {(left: number) => void} onTick - Called often with the seconds left.
 * @returns {Promise<{blob: Blob, samples: Samples | null}>} No samples where this browser cannot draw them.
 * @throws {import("./failures.js").Failure} `unsupported` or `empty`.
 */
export async function capture(stream, preview, contract, signal, onTick) {
  const seconds = contract.window_seconds;
  const [seen, heard] = [stream.getVideoTracks().length > 0, stream.getAudioTracks().length > 0];
  const wanted = canSample();
  const ear = wanted && heard ? await listen(stream, seconds, signal) : null;
  signal.throwIfAborted();
  const eye =
    wanted && seen && preview.videoWidth > 0
      ? new FrameKeeper(preview, contract.sample_times, pictureForm(contract))
      : null;
  const begin = () => {
    ear?.begin(BEGIN_SECONDS);
    eye?.begin(BEGIN_SECONDS, signal);
  };
  const tick = (left) => onTick(Math.max(0, left - LOST_SECONDS));
  const blob = await record(stream, seconds + LOST_SECONDS, signal, begin, tick);
  const [pictures, samples] = await Promise.all([eye?.end(), ear?.end()]);
  signal.throwIfAborted();
  const complete = wanted && (eye !== null) === seen && (ear !== null) === heard;
  if (!complete) {
    return { blob, samples: null };
  }
  const hasSound = samples !== undefined && samples.length > 0;
  return {
    blob,
    samples: {
      frames: pictures?.frames ?? [],
      times: contract.sample_times,
      audio: hasSound ? await soundFile(samples, ear.sampleRate, contract.sample_rate, seconds) : null,
    },
  };
}
