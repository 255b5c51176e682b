// The states of the page and what leads from one to the next, free of any browser API: what can happen when is
// decided here alone, so that a late callback or a second click cannot bring the page into a state nobody thought of.

/**
 * @typedef {"idle" | "permission" | "ready" | "countdown" | "recording" | "review" | "uploading" | "result" | "tracking"
 *   | "timeline" | "error"} StateName
 *
 * @typedef {object} Clip
 * @property {Blob} blob - What is sent.
 * @property {string} name - What the person calls it.
 * @property {"camera" | "file"} source - Where it comes from.
 * @property {import("./capture.js").Samples | null} samples - What could be sent instead of a recording.
 *
 * @typedef {object} State
 * @property {StateName} name
 * @property {MediaStream} [stream] - The open camera; it is closed on the way to a state without it.
 * @property {Clip} [clip] - What was recorded or chosen.
 * @property {import("./history.js").Entry} [entry] - The answer on show.
 * @property {import("./failures.js").Failure} [failure] - What went wrong.
 * @property {"send" | "track"} [again] - The event that tries once more what failed.
 */

/** Where each event leads. An event that a state does not list is ignored there. */
const TRANSITIONS = {
  idle: { open: "permission", choose: "review", show: "result", showTimeline: "timeline" },
  permission: { granted: "ready", failed: "error", close: "idle" },
  ready: { record: "countdown", open: "permission", failed: "error", close: "idle" },
  countdown: { elapsed: "recording", cancel: "ready", failed: "error" },
  recording: { recorded: "review", cancel: "ready", failed: "error" },
  review: { send: "uploading", track: "tracking", open: "permission", choose: "review", close: "idle" },
  uploading: { answered: "result", failed: "error", cancel: "review" },
  tracking: { tracked: "timeline", failed: "error", cancel: "review" },
  result: {
    back: "review",
    open: "permission",
    choose: "review",
    show: "result",
    showTimeline: "timeline",
    close: "idle",
  },
  timeline: {
    back: "review",
    open: "permission",
    choose: "review",
    show: "result",
    showTimeline: "timeline",
    close: "idle",
  },
  error: {
    send: "uploading",
    track: "tracking",
    back: "review",
    open: "permission",
    choose: "review",
    show: "result",
    showTimeline: "timeline",
    close: "idle",
  },
};

/** What a state cannot be without; anything else is left behind on the way in. */
const NEEDS = {
  idle: [],
  permission: [],
  ready: ["stream"],
  countdown: ["stream"],
  recording: ["stream"],
  review: ["clip"],
  uploading: ["clip"],
  tracking: ["clip"],
  result: ["entry"],
  timeline: ["entry"],
  error: ["failure"],
};

/** What a state takes along where there is any: a clip that could not be sent can be sent again. */
const MAY_KEEP = { error: ["clip", "again"] };

/** @type {StateName[]} */
export const STATES = Object.keys(TRANSITIONS);

/**
 * The state that an event leads to.
 *
 * @param {State} state - Where the page is.
 * @param {string} event - What happened.
 * @param {Partial<State>} [data] - What the event brings.
 * @returns {State | null} Null where the event means nothing in this state.
 * @throws {TypeError} Where the next state would lack what it needs.
 */
export function transition(state, event, data = {}) {
  const name = TRANSITIONS[state.name][event];
  if (name === undefined) {
    return null;
  }
  const known = { ...state, ...data };
  const missing = NEEDS[name].filter((key) => known[key] === undefined);
  if (missing.length > 0) {
    throw new TypeError(`${state.name} → ${name} by ${event} lacks ${missing.join(", ")}`);
  }
  const kept = [...NEEDS[name], ...(MAY_KEEP[name] ?? [])].filter((key) => known[key] !== undefined);
  return { name, ...Object.fromEntries(kept.map((key) => [key, known[key]])) };
}

/**
 * A page that is in one state at a time.
 *
 * @param {(next: State, previous: State, signal: AbortSignal) => void} onChange - Called after each change. The signal
 *   is aborted when the state is left: what a state starts ends with it.
 * @returns {{readonly state: State, dispatch: (event: string, data?: Partial<State>) => boolean}} `dispatch` says
 *   whether the event meant anything.
 */
export function createMachine(onChange) {
  /** @type {State} */
  let state = { name: "idle" };
  let stay = new AbortController();
  return {
    get state() {
      return state;
    },
    dispatch(event, data) {
      const next = transition(state, event, data);
      if (next === null) {
        return false;
      }
      const previous = state;
      state = next;
      stay.abort();
      stay = new AbortController();
      onChange(next, previous, stay.signal);
      return true;
    },
  };
}
