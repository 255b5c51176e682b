// Talks to the gateway, relative to where the page is served.

/**
 * Send a clip.
 *
 * @param {Blob} clip - The file.
 * @returns {Promise<object>} The body of `POST /predict`.
 * @throws {Error} With a sentence for people.
 */
export async function predict(clip) {
  const form = new FormData();
  // Always the same name: what a person calls a file is nobody's business.
  form.append("file", clip, "clip");
  let response;
  try {
    response = await fetch("predict", { method: "POST", body: form });
  } catch {
    throw new Error("The server cannot be reached. Is it running, and are you online?");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) {
    throw new Error(body?.error?.message ?? `The server answered with status ${response.status}.`);
  }
  return body;
}
