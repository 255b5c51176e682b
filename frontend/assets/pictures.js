// Pictures of a clip: drawn from the camera while it records, or from a clip that is already there.

/**
 * @typedef {object} Form - How a picture is made.
 * @property {number} longestSide - At most this many pixels.
 * @property {number} quality - Of the JPEG, from 0 to 1.
 */

/** A clip that this browser cannot move about in is given up on after this time. */
const SEEK_MILLISECONDS = 4000;

/** Beyond the end of any clip: recordings do not say how long they are until a player has looked for their end. */
const BEYOND_SECONDS = 1e7;

/** @returns {boolean} Whether this browser tells of each frame that a video shows. */
export const canDrawFrames = () => "requestVideoFrameCallback" in HTMLVideoElement.prototype;

/** Keeps what a video shows at given times: at each the last frame at or before it, as avemotion/preprocessing/video.py does. */
export class FrameKeeper {
  #video;
  #times;
  #form;
  /** @type {{canvas: HTMLCanvasElement, time: number}[]} */
  #kept = [];
  #shown = null;
  #size = null;
  #begin = 0;
  #request = 0;

  /**
   * @param {HTMLVideoElement} video - That shows the camera.
   * @param {number[]} times - In seconds, ascending.
   * @param {Form} form
   */
  constructor(video, times, form) {
    this.#video = video;
    this.#times = times;
    this.#form = form;
  }

  /**
   * Look from now on.
   *
   * @param {number} delay - Time begins after so many seconds.
   * @param {AbortSignal} signal - Ends it.
   */
  begin(delay, signal) {
    this.#begin = performance.now() + 1000 * delay;
    // One size for all, even where a phone is turned meanwhile.
    this.#size = sizeOf(this.#video, this.#form);
    this.#shown = { canvas: draw(this.#video, this.#size), time: -delay };
    signal.addEventListener("abort", () => this.#stop());
    this.#wait();
  }

  /**
   * Look no more.
   *
   * @returns {Promise<{frames: Blob[], times: number[]}>} A JPEG for each time, and when the camera took it.
   */
  async end() {
    this.#stop();
    this.#keepUntil(Number.POSITIVE_INFINITY);
    const files = new Map(this.#kept.map(({ canvas }) => [canvas, toJpeg(canvas, this.#form)]));
    return {
      frames: await Promise.all(this.#kept.map(({ canvas }) => files.get(canvas))),
      times: this.#kept.map(({ time }) => Math.max(0, time)),
    };
  }

  #stop() {
    this.#video.cancelVideoFrameCallback(this.#request);
  }

  #wait() {
    this.#request = this.#video.requestVideoFrameCallback((now, { captureTime = now }) => {
      const time = (performance.now() - this.#begin - (now - captureTime)) / 1000;
      this.#keepUntil(time);
      const isKept = this.#kept.some(({ canvas }) => canvas === this.#shown.canvas);
      this.#shown = { canvas: draw(this.#video, this.#size, isKept ? undefined : this.#shown.canvas), time };
      this.#wait();
    });
  }

  /** The frame on show is that of every time before the next one. */
  #keepUntil(time) {
    while (this.#kept.length < this.#times.length && this.#times[this.#kept.length] < time) {
      this.#kept.push(this.#shown);
    }
  }
}

/**
 * The pictures of a clip that the server looks at, as this browser shows them.
 *
 * @param {Blob} blob - The clip.
 * @param {import("./server.js").Contract} contract
 * @param {Form} form
 * @returns {Promise<Blob[]>} JPEGs.
 * @throws {unknown} The clip has no picture, or cannot be played here.
 */
export async function picturesOf(blob, contract, form) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.preload = "auto";
  video.src = URL.createObjectURL(blob);
  try {
    await Promise.all([frameOf(video), happens(video, "loadeddata")]);
    const window = windowOf(await durationOf(video), contract.window_seconds);
    const pictures = [];
    for (const time of contract.sample_times) {
      await moveTo(video, window.start + (time * window.length) / contract.window_seconds);
      pictures.push(await toJpeg(draw(video, sizeOf(video, form)), form));
    }
    return pictures;
  } finally {
    URL.revokeObjectURL(video.src);
    video.removeAttribute("src");
    video.load();
  }
}

/**
 * What the server reads of a clip: the window at its centre.
 *
 * @param {number} duration - Of the clip, in seconds.
 * @param {number} windowSeconds - The longest window.
 * @returns {{start: number, length: number}} In seconds.
 */
export function windowOf(duration, windowSeconds) {
  const length = Math.min(duration, windowSeconds);
  return { start: (duration - length) / 2, length };
}

async function durationOf(video) {
  if (!Number.isFinite(video.duration)) {
    await moveTo(video, BEYOND_SECONDS);
  }
  return Number.isFinite(video.duration) ? video.duration : video.currentTime;
}

/** Resolves when the frame of this time can be drawn: "seeked" may come while the frame before is still on show. */
async function moveTo(video, time) {
  const isShown = frameOf(video);
  video.currentTime = time;
  await Promise.all([isShown, happens(video, "seeked")]);
}

/** The next frame to be shown. */
function frameOf(video) {
  return new Promise((resolve, reject) => {
    video.requestVideoFrameCallback(resolve);
    setTimeout(reject, SEEK_MILLISECONDS);
  });
}

function happens(video, event) {
  return new Promise((resolve, reject) => {
    video.addEventListener(event, resolve, { once: true });
    video.addEventListener("error", reject, { once: true });
    setTimeout(reject, SEEK_MILLISECONDS);
  });
}

function sizeOf({ videoWidth, videoHeight }, { longestSide }) {
  const scale = Math.min(1, longestSide / Math.max(videoWidth, videoHeight));
  return { width: Math.round(videoWidth * scale), height: Math.round(videoHeight * scale) };
}

function draw(video, { width, height }, canvas = Object.assign(document.createElement("canvas"), { width, height })) {
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(video, 0, 0, width, height);
  return canvas;
}

function toJpeg(canvas, { quality }) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new DOMException("no picture"))), "image/jpeg", quality);
  });
}
