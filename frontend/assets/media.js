// Camera and microphone: what the browser can do, which devices there are, and opening them. Every wish is `ideal`:
// iOS Safari refuses more than it has to otherwise. Only a device that the person has chosen is first asked for as
// `exact`, since Chromium prefers the default microphone to an ideal one; where that is refused, any device will do.

import { Failure, failureOfCamera } from "./failures.js";

/** In order of preference; Safari records mp4 only. */
const MIME_TYPES = {
  video: [
    "video/webm;codecs=vp9,opus",
    "video/webm;codecs=vp8,opus",
    "video/webm",
    "video/mp4;codecs=avc1.42E01E,mp4a.40.2",
    "video/mp4",
  ],
  audio: ["audio/webm;codecs=opus", "audio/webm", "audio/mp4"],
};

const PICTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };

// These are made for calls: they flatten the voice, and how it swells is part of what it expresses.
const SOUND = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/**
 * @typedef {object} Choice - Ids of devices; empty where the person has not chosen.
 * @property {string} camera
 * @property {string} microphone
 */

/**
 * The first type that this browser records.
 *
 * @param {"video" | "audio"} kind - With picture, or sound alone.
 * @param {(type: string) => boolean} isSupported - `MediaRecorder.isTypeSupported`.
 * @returns {string | null} Null where it records none of them.
 */
export function negotiateMimeType(kind, isSupported) {
  return MIME_TYPES[kind].find(isSupported) ?? null;
}

/**
 * Make sure that recording is possible at all.
 *
 * @throws {Failure} `insecure` or `unsupported`.
 */
function checkSupport() {
  if (!window.isSecureContext) {
    throw new Failure("insecure");
  }
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) {
    throw new Failure("unsupported");
  }
}

/**
 * Ask for camera and microphone; where there is only one of them, for that one.
 *
 * @param {Choice} choice - Which devices the person prefers.
 * @returns {Promise<MediaStream>}
 * @throws {Failure} What stands in the way.
 */
export async function openCamera(choice) {
  checkSupport();
  try {
    const devices = await listDevices();
    const open = (strength) => navigator.mediaDevices.getUserMedia(wishes(choice, devices, strength));
    return await open("exact").catch((error) => {
      if (error.name !== "OverconstrainedError") {
        throw error;
      }
      return open("ideal");
    });
  } catch (error) {
    throw failureOfCamera(error);
  }
}

/** @returns {MediaStreamConstraints} */
function wishes(choice, { cameras, microphones }, strength) {
  // Before permission is given, some browsers list nothing at all: then ask for both.
  const unknown = cameras.length + microphones.length === 0;
  return {
    video: (unknown || cameras.length > 0) && {
      ...PICTURE,
      ...(choice.camera ? { deviceId: { [strength]: choice.camera } } : { facingMode: { ideal: "user" } }),
    },
    audio: (unknown || microphones.length > 0) && {
      ...SOUND,
      ...(choice.microphone && { deviceId: { [strength]: choice.microphone } }),
    },
  };
}

/**
 * Tell when a device goes away, for example because it was unplugged.
 *
 * @param {MediaStream} stream
 * @param {(failure: Failure) => void} onLost
 */
export function watchCamera(stream, onLost) {
  for (const track of stream.getTracks()) {
    track.addEventListener("ended", () => onLost(new Failure("lost")));
  }
}

/**
 * Turn the camera and the microphone off.
 *
 * @param {MediaStream} stream
 */
export function closeCamera(stream) {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}

/**
 * The devices that the browser tells of.
 *
 * @returns {Promise<{cameras: MediaDeviceInfo[], microphones: MediaDeviceInfo[]}>}
 */
export async function listDevices() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return {
    cameras: devices.filter((device) => device.kind === "videoinput"),
    microphones: devices.filter((device) => device.kind === "audioinput"),
  };
}
