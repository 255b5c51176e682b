// Talks to the gateway. By XMLHttpRequest: fetch does not tell how far an upload is.

import { Failure, failureOfResponse } from "./failures.js";

/** Below the page's own address, whoever serves it: nginx.conf and gateway/routes/page.py both see to that. */
const API = "api/";

/** Longer than the gateway itself waits for an upload and an answer together. */
const TIMEOUT_MILLISECONDS = 90_000;

/**
 * @typedef {object} Answer - The body of `POST /predict`, described in docs/API.md.
 * @property {string[]} labels
 * @property {number[]} probs
 * @property {{label: string, prob: number}} top1
 * @property {boolean} uncertain
 * @property {string} model
 * @property {string} model_version
 * @property {{video: boolean, audio: boolean}} modalities
 * @property {Record<string, string>} missing
 * @property {object | null} face
 * @property {import("./quality.js").Quality} quality
 * @property {number[] | null} video_probs
 * @property {number[] | null} audio_probs
 * @property {number[] | null} frame_attention
 * @property {string | null} explanation
 * @property {Record<string, number>} timings_ms
 * @property {string} request_id
 *
 * @typedef {object} Wishes - What the person has chosen.
 * @property {string} key - API key; empty for none.
 * @property {{name: string, version: string} | null} model - Null leaves it to the server.
 * @property {boolean} explain - Whether to ask for an explanation in words.
 *
 * @typedef {object} Sending
 * @property {AbortSignal} [signal] - Calls it off.
 * @property {(fraction: number) => void} [onSent] - Called with how much has been sent, from 0 to 1.
 * @property {(line: object) => void} [onLine] - Called with each line of an answer that comes in lines.
 */

/**
 * Ask for something that needs nothing sent.
 *
 * @param {string} path - Below the API.
 * @param {string} [key] - API key.
 * @returns {Promise<any>} The body.
 * @throws {Failure} Why there is no answer.
 */
export function get(path, key = "") {
  return ask("GET", path, null, key, {});
}

/**
 * Send a whole clip.
 *
 * @param {Blob} blob
 * @param {Wishes} wishes
 * @param {Sending} sending
 * @returns {Promise<Answer>}
 * @throws {Failure} Why there is no answer.
 */
export function predictVideo(blob, wishes, sending) {
  return ask("POST", `predict${query(wishes)}`, formOfFile(blob), wishes.key, sending);
}

/**
 * Send pictures and sound that were drawn from the camera.
 *
 * @param {import("./capture.js").Samples} samples
 * @param {Wishes} wishes
 * @param {Sending} sending
 * @returns {Promise<Answer>}
 * @throws {Failure} Why there is no answer.
 */
export function predictSampled(samples, wishes, sending) {
  const form = new FormData();
  for (const [index, frame] of samples.frames.entries()) {
    form.append("frames", frame, `frame-${index}.jpg`);
  }
  if (samples.frames.length > 0) {
    form.append("times", JSON.stringify(samples.times));
  }
  if (samples.audio !== null) {
    form.append("audio", samples.audio, "sound.wav");
  }
  return ask("POST", `predict/sampled${query(wishes)}`, form, wishes.key, sending);
}

/**
 * Send a clip of any length, and get an estimate for every step of it, one by one.
 *
 * @param {Blob} blob
 * @param {Wishes} wishes
 * @param {Sending} sending - Its `onLine` gets the rows.
 * @returns {Promise<void>}
 * @throws {Failure} Why there is no answer, or no more of it.
 */
export async function predictTimeline(blob, wishes, sending) {
  await ask("POST", `predict/timeline${query({ ...wishes, explain: false })}`, formOfFile(blob), wishes.key, sending);
}

function formOfFile(blob) {
  const form = new FormData();
  // Always the same name: what a person calls a file is nobody's business.
  form.append("file", blob, "clip");
  return form;
}

/** @param {Wishes} wishes */
function query({ model, explain }) {
  const parameters = new URLSearchParams({
    ...(model && { model: model.name, version: model.version }),
    ...(explain && { explain: "true" }),
  });
  return parameters.size > 0 ? `?${parameters}` : "";
}

function ask(method, path, body, key, { signal, onSent, onLine }) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open(method, API + path);
    request.timeout = TIMEOUT_MILLISECONDS;
    if (key) {
      request.setRequestHeader("X-API-Key", key);
    }
    if (onLine) {
      request.setRequestHeader("Accept", "application/x-ndjson");
      const lines = new Lines(onLine);
      request.addEventListener("progress", () => {
        try {
          if (request.status === 200) {
            lines.read(request.responseText);
          }
        } catch (error) {
          // What a line says went wrong ends it all.
          request.abort();
          reject(error);
        }
      });
    }
    if (onSent) {
      request.upload.addEventListener("progress", (event) => onSent(event.loaded / event.total));
    }
    request.addEventListener("load", () => {
      const answer = onLine ? {} : parsed(request.responseText);
      if (request.status === 200 && answer !== null) {
        resolve(answer);
      } else {
        const retryAfter = request.getResponseHeader("Retry-After");
        reject(failureOfResponse(request.status, parsed(request.responseText), retryAfter));
      }
    });
    const unreachable = () => reject(new Failure(navigator.onLine ? "unreachable" : "offline"));
    request.addEventListener("error", unreachable);
    request.addEventListener("timeout", unreachable);
    signal?.addEventListener("abort", () => {
      request.abort();
      reject(signal.reason);
    });
    request.send(body);
  });
}

/** Splits a text that grows into the lines that are whole. */
export class Lines {
  #read = 0;
  #onLine;

  /** @param {(line: object) => void} onLine - Called once with each. */
  constructor(onLine) {
    this.#onLine = onLine;
  }

  /** @param {string} text - All of it so far. */
  read(text) {
    const end = text.lastIndexOf("\n") + 1;
    const fresh = text.slice(this.#read, end);
    this.#read = end;
    for (const line of fresh.split("\n").filter((part) => part.trim() !== "")) {
      this.#onLine(JSON.parse(line));
    }
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
