// What is to be seen in each state: which parts of the page, where the focus goes, and what is said to people who do
// not see it.

import { byId } from "./elements.js";
import { contract } from "./server.js";
import { seconds, size } from "./words.js";

/** What screen readers are told on the way into a state; where the focus goes to a heading, that is read instead. */
const ANNOUNCEMENTS = {
  idle: "",
  permission: "The browser asks for your camera and microphone.",
  ready: "The camera is on. Ready to record.",
  countdown: "Get ready.",
  recording: "Recording.",
  review: "The clip is ready to be sent.",
  uploading: "Sending the clip.",
  tracking: "Sending the clip.",
  result: "The estimate is there.",
  timeline: "The estimates over time are there.",
  error: "Something went wrong.",
};

const CAMERA_TITLES = {
  permission: "Allow camera and microphone",
  ready: "Ready to record",
  countdown: "Get ready",
  recording: "Recording",
};

/**
 * Show the parts of the page that belong to a state, and those only.
 *
 * @param {import("./machine.js").State} state
 */
export function showState(state) {
  document.body.dataset.state = state.name;
  for (const part of document.querySelectorAll("[data-states]")) {
    part.hidden = !part.dataset.states.split(" ").includes(state.name);
  }
  byId("camera-title").textContent = CAMERA_TITLES[state.name] ?? "";
  announce(ANNOUNCEMENTS[state.name]);
}

/**
 * Move the focus to what a state wants to be read or pressed first.
 *
 * @param {import("./machine.js").State} state
 */
export function focusState(state) {
  document.querySelector(`[data-focus~="${state.name}"]`)?.focus();
}

/**
 * Say something to people who do not see the page.
 *
 * @param {string} text
 */
export function announce(text) {
  byId("announcement").textContent = text;
}

/** Forget how far the last recording was: the recorder takes a moment to start. */
export function showNothingRecorded() {
  byId("ring").style.setProperty("--share", "0");
  byId("seconds").textContent = "";
}

/**
 * Show how far the recording is.
 *
 * @param {number} left - Seconds left.
 * @param {number} whole - Seconds of the recording.
 */
export function showRecorded(left, whole) {
  byId("ring").style.setProperty("--share", String(1 - left / whole));
  byId("seconds").textContent = `${left.toFixed(1)} s`;
}

/**
 * Show the countdown; each second is announced once.
 *
 * @param {number} left - Seconds left.
 */
export function showCountdown(left) {
  const number = String(Math.ceil(left));
  if (byId("number").textContent !== number) {
    byId("number").textContent = number;
    announce(number);
  }
}

/**
 * Show how much of the clip has been sent.
 *
 * @param {number} fraction - From 0 to 1.
 */
export function showSent(fraction) {
  const done = fraction >= 1;
  const text = done ? "Sent. The server is estimating…" : `${Math.round(100 * fraction)} % sent`;
  if (done) {
    // How long the server takes is not known.
    byId("sent").removeAttribute("value");
  } else {
    byId("sent").value = fraction;
  }
  byId("sent-text").textContent = text;
  if (done) {
    announce(text);
  }
}

/**
 * Show how far a timeline is.
 *
 * @param {import("./timeline.js").Timeline} timeline - What has come in.
 */
export function showTracked({ rows, duration }) {
  const { end } = rows.at(-1);
  byId("sent").value = Math.min(1, end / duration);
  byId("sent-text").textContent = `Estimated up to ${end.toFixed(1)} of ${seconds(duration)}`;
}

/**
 * Show the clip before it is sent.
 *
 * @param {import("./machine.js").Clip} clip
 * @param {AbortSignal} signal - Lets go of it.
 */
export async function showClip(clip, signal) {
  const player = byId("playback");
  const url = URL.createObjectURL(clip.blob);
  byId("review-title").textContent = clip.source === "camera" ? "Check your recording" : "Check the file";
  byId("clip-name").textContent = `${clip.name}, ${size(clip.blob.size)}`;
  byId("unplayable").hidden = true;
  byId("over-time").hidden = true;
  player.hidden = false;
  const server = await contract().catch(() => null);
  if (signal.aborted) {
    return;
  }
  const offer = () => {
    // Shorter than this it is a single window.
    const shortest = server === null ? 0 : server.window_seconds + server.limits.timeline_step_min;
    byId("over-time").hidden = clip.source === "camera" || player.duration < shortest;
  };
  player.addEventListener("loadedmetadata", offer, { signal });
  player.addEventListener(
    "error",
    () => {
      player.hidden = true;
      byId("unplayable").hidden = false;
      // How long it is, the server will know.
      offer();
    },
    { signal },
  );
  player.src = url;
  signal.addEventListener("abort", () => {
    player.removeAttribute("src");
    player.load();
    URL.revokeObjectURL(url);
  });
}
