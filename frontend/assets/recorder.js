// Records a stream for a few seconds. The recorder hands its last bytes over only after it has stopped: a clip that
// is put together earlier is cut off or has no end.

import { Failure, failureOfCamera } from "./failures.js";
import { negotiateMimeType } from "./media.js";
import { elapse } from "./timing.js";

/** Enough for a face at 640 × 480, and about half a megabyte for three seconds. */
const VIDEO_BITS_PER_SECOND = 1_500_000;

/**
 * Record.
 *
 * @param {MediaStream} stream - The open camera.
 * @param {number} seconds - How long.
 * @param {AbortSignal} signal - Ends the recording and throws it away.
 * @param {() => void} onStart - Called when it begins.
 * @param {(left: number) => void} onTick - Called often with the seconds left.
 * @returns {Promise<Blob>}
 * @throws {Failure} `unsupported` or `empty`.
 */
export async function record(stream, seconds, signal, onStart, onTick) {
  const kind = stream.getVideoTracks().length > 0 ? "video" : "audio";
  const mimeType = negotiateMimeType(kind, (type) => MediaRecorder.isTypeSupported(type));
  if (mimeType === null) {
    throw new Failure("unsupported");
  }
  const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: VIDEO_BITS_PER_SECOND });
  const parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const stopped = happens(recorder, "stop");
  recorder.start();
  // Not at the recorder's event of that name: on a busy machine it comes a tenth of a second late.
  onStart();
  try {
    await Promise.race([elapse(seconds, signal, onTick), failed(recorder)]);
  } finally {
    if (recorder.state !== "inactive") {
      recorder.stop();
    }
  }
  await stopped;
  const blob = new Blob(parts, { type: recorder.mimeType || mimeType });
  if (blob.size === 0) {
    throw new Failure("empty");
  }
  return blob;
}

/** @returns {Promise<Event>} */
function happens(target, event) {
  return new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
}

/** Rejected when the recorder reports an error. @returns {Promise<never>} */
async function failed(recorder) {
  throw failureOfCamera((await happens(recorder, "error")).error);
}
