// Puts the page together: what each state starts, and which event each button sends. The rules of what follows what
// are in machine.js; what a state starts ends with it, by its signal.

import { predictSampled, predictTimeline, predictVideo } from "./api.js";
import { capture, pictureForm } from "./capture.js";
import { byId } from "./elements.js";
import { showFailure } from "./error.js";
import { Failure, failureOfCamera } from "./failures.js";
import { watchFiles } from "./files.js";
import { History } from "./history.js";
import { showLevel } from "./level.js";
import { createMachine } from "./machine.js";
import { closeCamera, openCamera, watchCamera } from "./media.js";
import { chosenWishes, modeOf, showModels, showOptions, showPlan, useKey, watchOptions } from "./options.js";
import { chosenDevices, showDevices, watchPickers } from "./pickers.js";
import { picturesOf } from "./pictures.js";
import { showResult } from "./result.js";
import { contract } from "./server.js";
import { showSession, watchSession } from "./sessions.js";
import { showTimeline, showWholeTimeline, TimelineReader } from "./timeline.js";
import { elapse } from "./timing.js";
import {
  focusState,
  showClip,
  showCountdown,
  showNothingRecorded,
  showRecorded,
  showSent,
  showState,
  showTracked,
} from "./view.js";

const COUNTDOWN_SECONDS = 3;

const history = new History();
let recordings = 0;
/** The list that the person is choosing a device from; it keeps the focus while the camera is opened anew. */
let openPicker = null;

const machine = createMachine(enter);
const dispatch = machine.dispatch;

/** What each state starts. A failure leads to the error state. */
const EFFECTS = {
  async permission(_, signal) {
    // Without a server there is nothing to record for, nor is it known how long.
    await contract();
    const stream = await openCamera(chosenDevices());
    if (signal.aborted) {
      closeCamera(stream);
      return;
    }
    watchCamera(stream, (failure) => dispatch("failed", { failure }));
    dispatch("granted", { stream });
  },
  async ready({ stream }, signal) {
    showPlan();
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
    const server = await contract();
    const tick = (left) => showRecorded(left, server.window_seconds);
    const recorded = await capture(stream, byId("preview"), server, signal, tick);
    recordings += 1;
    dispatch("recorded", { clip: { ...recorded, name: `Recording ${recordings}`, source: "camera" } });
  },
  async review({ clip }, signal) {
    await Promise.all([showClip(clip, signal), showOptions(clip), showModels()]);
  },
  async uploading({ clip }, signal) {
    showSent(0);
    const sent = modeOf(clip);
    const sending = { signal, onSent: showSent };
    const answer =
      sent === "sampled"
        ? await predictSampled(clip.samples, chosenWishes(), sending)
        : await predictVideo(clip.blob, chosenWishes(), sending);
    const pictures = sent === "sampled" ? Promise.resolve(clip.samples.frames) : picturesOfClip(clip);
    remember("answered", { clip, sent, answer, pictures });
  },
  async tracking({ clip }, signal) {
    showSent(0);
    const reader = new TimelineReader((timeline) => {
      byId("tracked").hidden = false;
      showTracked(timeline);
      showTimeline(timeline);
    });
    byId("tracked").hidden = true;
    await predictTimeline(clip.blob, chosenWishes(), {
      signal,
      onSent: showSent,
      onLine: (line) => reader.read(line),
    });
    remember("tracked", { clip, sent: "video", timeline: reader.whole() });
  },
  async result({ entry }, signal) {
    await showResult(entry, signal);
  },
  async timeline({ entry }, signal) {
    byId("tracked").hidden = false;
    showWholeTimeline(entry, signal);
  },
  async error(state, signal) {
    await showFailure(state, signal);
  },
};

async function picturesOfClip(clip) {
  try {
    const server = await contract();
    return await picturesOf(clip.blob, server, pictureForm(server));
  } catch {
    return [];
  }
}

function remember(event, result) {
  const entry = history.add(result);
  showSession(history, openEntry);
  dispatch(event, { entry });
}

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
    dispatch("failed", { failure: failureOfCamera(error), again: state.name === "tracking" ? "track" : "send" });
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

/** A result is left for the clip that it is of. */
function dataOf(event) {
  return event === "back" && machine.state.entry ? { clip: machine.state.entry.clip } : {};
}

function openEntry(entry) {
  dispatch(entry.timeline ? "showTimeline" : "show", { entry });
}

for (const button of document.querySelectorAll("[data-event]")) {
  button.addEventListener("click", () => dispatch(button.dataset.event, dataOf(button.dataset.event)));
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    dispatch("cancel");
  }
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value);
  dispatch(machine.state.again ?? "send");
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
watchOptions(() => machine.state.clip);
// Asked for early, so that nothing waits for it later; where it fails, it is asked for again when it is needed.
contract().catch(() => {});
