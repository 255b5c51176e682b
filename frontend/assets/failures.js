// What can go wrong, in words that help: each kind has a title, an advice and what the person can do next. The
// messages of browsers and servers are turned into these kinds here and nowhere else.

/**
 * @typedef {"denied" | "no-device" | "busy" | "lost" | "insecure" | "unsupported" | "empty" | "offline" | "unreachable"
 *   | "unauthorized" | "too-large" | "nobody" | "unreadable" | "no-model" | "slow" | "rate-limited" | "unavailable" | "unexpected"} Kind
 *
 * @typedef {"open" | "send" | "none"} Remedy - Open the camera again, send the clip again, or neither helps.
 */

/** @type {Record<Kind, {title: string, advice: string, remedy: Remedy}>} */
const TEXTS = {
  denied: {
    title: "Camera and microphone are not allowed",
    advice: "Allow both for this page in the settings of the browser, beside the address, and try again.",
    remedy: "open",
  },
  "no-device": {
    title: "No camera or microphone was found",
    advice: "Connect one and try again, or choose a file.",
    remedy: "open",
  },
  busy: {
    title: "The camera or microphone is in use",
    advice: "Close other programs and tabs that use it, such as a video call, and try again.",
    remedy: "open",
  },
  lost: {
    title: "The camera or microphone went away",
    advice: "Connect it again and start over.",
    remedy: "open",
  },
  insecure: {
    title: "Recording needs a secure connection",
    advice:
      "Open this page by an address that begins with https://, or on this machine as http://127.0.0.1. A file can be sent anyway.",
    remedy: "none",
  },
  unsupported: {
    title: "This browser cannot record",
    advice: "Use a current version of Chrome, Edge, Firefox or Safari, or choose a file.",
    remedy: "none",
  },
  empty: {
    title: "The recording is empty",
    advice: "The browser delivered neither picture nor sound. Try again.",
    remedy: "open",
  },
  offline: {
    title: "You are offline",
    advice: "Try again when you are connected.",
    remedy: "send",
  },
  unreachable: {
    title: "The server cannot be reached",
    advice: "Try again in a moment.",
    remedy: "send",
  },
  unauthorized: {
    title: "An API key is needed",
    advice: "The key stays in this tab and is forgotten when you close it.",
    remedy: "send",
  },
  "too-large": {
    title: "The clip is too large",
    advice: "Choose a shorter clip, or record one: a few seconds are enough.",
    remedy: "none",
  },
  nobody: {
    title: "Nobody was seen or heard",
    advice:
      "Face the camera in good light, speak, and record again; or choose a clip that shows a face or holds a voice.",
    remedy: "open",
  },
  unreadable: {
    title: "The clip cannot be read",
    advice: "Record again or choose another file: mp4, mov, webm, matroska, avi, wav or flac.",
    remedy: "none",
  },
  "no-model": {
    title: "The chosen model is gone",
    advice: "Choose another one, or leave the choice to the server.",
    remedy: "none",
  },
  slow: {
    title: "The clip arrived too slowly",
    advice: "Try again where the connection is better, or send the pictures and the sound alone.",
    remedy: "send",
  },
  "rate-limited": {
    title: "Too many requests at the moment",
    advice: "The server asks for a pause; then it can be sent again.",
    remedy: "send",
  },
  unavailable: {
    title: "The server is not ready",
    advice: "Try again in a moment.",
    remedy: "send",
  },
  unexpected: {
    title: "The server could not answer",
    advice: "Try again in a moment.",
    remedy: "send",
  },
};

/** @type {Record<number, Kind>} */
const KINDS_OF_STATUSES = {
  401: "unauthorized",
  404: "no-model",
  408: "slow",
  413: "too-large",
  415: "unreadable",
  422: "unreadable",
  429: "rate-limited",
  503: "unavailable",
};

/** Errors that have a text of their own, by the server's code. @type {Record<string, Kind>} */
const KINDS_OF_CODES = { nobody_found: "nobody" };

/** Names of the errors that `getUserMedia` is rejected with. @type {Record<string, Kind>} */
const KINDS_OF_CAMERA_ERRORS = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "no-device",
  OverconstrainedError: "no-device",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** Something that went wrong and can be explained. */
export class Failure extends Error {
  /**
   * @param {Kind} kind - What it is.
   * @param {object} [details]
   * @param {string} [details.message] - What the server says about it.
   * @param {number | null} [details.retryAfter] - Seconds that the server asks to wait.
   */
  constructor(kind, { message = "", retryAfter = null } = {}) {
    super(message);
    this.kind = kind;
    this.retryAfter = retryAfter;
    Object.assign(this, TEXTS[kind]);
  }
}

/**
 * Why the camera could not be opened.
 *
 * @param {unknown} error - What `getUserMedia` or `MediaRecorder` was rejected with.
 * @returns {Failure}
 */
export function failureOfCamera(error) {
  return error instanceof Failure ? error : new Failure(KINDS_OF_CAMERA_ERRORS[error?.name] ?? "unsupported");
}

/**
 * Why the server did not answer with a result.
 *
 * @param {number} status - HTTP status.
 * @param {{error?: {code?: string, message?: string}} | null} body - The body, where it is JSON.
 * @param {string | null} retryAfter - The header of this name.
 * @returns {Failure}
 */
export function failureOfResponse(status, body, retryAfter) {
  const seconds = Number.parseInt(retryAfter ?? "", 10);
  return new Failure(KINDS_OF_CODES[body?.error?.code] ?? KINDS_OF_STATUSES[status] ?? "unexpected", {
    message: body?.error?.message ?? `The server answered with status ${status}.`,
    retryAfter: seconds > 0 ? seconds : null,
  });
}
