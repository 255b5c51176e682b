// Puts the page together: what each state starts, and which event each button sends. The rules of what follows what
// are in machine.js; what a state starts ends with it, by its signal.

import { predict } from "./api.js";
import { byId } from "./elements.js";
import { showFailure } from "./error.js";
import { Failure, failureOfCamera } from "./failures.js";
import { watchFiles } from "./files.js";
import { History } from "./history.js";
import { showLevel } from "./level.js";
import { createMachine } from "./machine.js";
import { closeCamera, openCamera, watchCamera } from "./media.js";
import { chosenDevices, showDevices, watchPickers } from "./pickers.js";
import { record } from "./recorder.js";
import { showResult } from "./result.js";
import { showSession, watchSession } from "./sessions.js";
import { elapse } from "./timing.js";
import { focusState, showClip, showCountdown, showNothingRecorded, showRecorded, showSent, showState } from "./view.js";

const COUNTDOWN_SECONDS = 3;

/** The length that the model reads; see preprocessing/contract.py. */
const RECORDING_SECONDS = 3;

const history = new History();
let apiKey = "";
let recordings = 0;
/** The list that the person is choosing a device from; it keeps the focus while the camera is opened anew. */
let openPicker = null;

const machine = createMachine(enter);
const dispatch = machine.dispatch;

/** What each state starts. A failure leads to the error state. */
const EFFECTS = {
  async permission(_, signal) {
    const stream = await openCamera(chosenDevices());
    if (signal.aborted) {
      closeCamera(stream);
      return;
    }
    watchCamera(stream, (failure) => dispatch("failed", { failure }));
    dispatch("granted", { stream });
  },
  async ready({ stream }, signal) {
    showLevel(stream, byId("level"), signal);
    await showDevices(stream);
    openPicker?.focus();
    openPicker = null;
  },
  async countdown({ stream }, signal) {
    showLevel(stream, byId("level"), signal);
    await elapse(COUNTDOWN_SECONDS, signal, showCountdown);
    dispatch("elapsed");
  },
  async recording({ stream }, signal) {
    showNothingRecorded();
    showLevel(stream, byId("level"), signal);
    const blob = await record(stream, RECORDING_SECONDS, signal, (left) => showRecorded(left, RECORDING_SECONDS));
    recordings += 1;
    dispatch("recorded", { clip: { blob, name: `Recording ${recordings}`, source: "camera" } });
  },
  async review({ clip }, signal) {
    showClip(clip, signal);
  },
  async uploading({ clip }, signal) {
    showSent(0);
    const answer = await predict(clip.blob, apiKey, signal, showSent);
    const entry = history.add(clip, answer);
    showSession(history, openEntry);
    dispatch("answered", { entry });
  },
  async result({ entry }) {
    showResult(entry);
  },
  async error(state, signal) {
    await showFailure(state, signal);
  },
};

/**
 * Called by the machine after each change.
 *
 * @param {import("./machine.js").State} state
 * @param {import("./machine.js").State} previous
 * @param {AbortSignal} signal
 */
function enter(state, previous, signal) {
  if (previous.stream && previous.stream !== state.stream) {
    closeCamera(previous.stream);
  }
  showStream(state.stream ?? null);
  showState(state);
  start(state, signal);
  focusState(state);
}

async function start(state, signal) {
  try {
    await EFFECTS[state.name]?.(state, signal);
  } catch (error) {
    if (signal.aborted) {
      return;
    }
    if (!(error instanceof Failure || error instanceof DOMException)) {
      throw error;
    }
    dispatch("failed", { failure: failureOfCamera(error) });
  }
}

function showStream(stream) {
  const preview = byId("preview");
  if (preview.srcObject !== stream) {
    preview.srcObject = stream;
  }
  const hasPicture = stream === null || stream.getVideoTracks().length > 0;
  const hasSound = stream === null || stream.getAudioTracks().length > 0;
  preview.hidden = !hasPicture;
  byId("one-device").hidden = hasPicture && hasSound;
  byId("one-device").textContent = hasPicture
    ? "No microphone was found: only the face is looked at."
    : "No camera was found: only the voice is listened to.";
}

function openEntry(entry) {
  dispatch("show", { entry });
}

for (const button of document.querySelectorAll("[data-event]")) {
  button.addEventListener("click", () => dispatch(button.dataset.event));
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    dispatch("cancel");
  }
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  apiKey = byId("key").value.trim();
  dispatch("send");
});
watchFiles((clip) => dispatch("choose", { clip }));
watchPickers(
  (picker) => {
    openPicker = picker;
    dispatch("open");
  },
  () => machine.state.name === "ready" && showDevices(machine.state.stream),
);
watchSession(history, openEntry);
showState(machine.state);
