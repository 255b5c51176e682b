// Talks to the gateway. By XMLHttpRequest: fetch does not tell how far an upload
// is.

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
 * @property {string} model
 * @property {string} model_version
 * @property {{video: boolean, audio: boolean}} modalities
 * @property {Record<string, string>} missing
 * @property {object | null} face
 * @property {number[] | null} video_probs
 * @property {number[] | null} audio_probs
 * @property {number[] | null} frame_attention
 * @property {Record<string, number>} timings_ms
 * @property {string} request_id
 */

/**
 * Send a clip.
 *
 * @param {Blob} blob - The clip.
 * @param {string} key - API key; empty for none.
 * @param {AbortSignal} signal - Calls it off.
 * @param {(fraction: number) => void} onProgress - Called with how much has been sent, from 0 to 1.
 * @returns {Promise<Answer>}
 * @throws {Failure} Why there is no answer.
 */
export function predict(blob, key, signal, onProgress) {
  const form = new FormData();
  // Always the same name: what a person calls a file is nobody's business.
  form.append("file", blob, "clip");
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${API}predict`);
    request.responseType = "json";
    request.timeout = TIMEOUT_MILLISECONDS;
    if (key) {
      request.setRequestHeader("X-API-Key", key);
    }
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status === 200 && request.response !== null) {
        resolve(request.response);
      } else {
        reject(failureOfResponse(request.status, request.response, request.getResponseHeader("Retry-After")));
      }
    });
    const unreachable = () => reject(new Failure(navigator.onLine ? "unreachable" : "offline"));
    request.addEventListener("error", unreachable);
    request.addEventListener("timeout", unreachable);
    signal.addEventListener("abort", () => {
      request.abort();
      reject(signal.reason);
    });
    request.send(form);
  });
}
