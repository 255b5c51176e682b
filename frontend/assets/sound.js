// The sound of a recording as samples, beside the recorder that codes it: what is sent need not have gone through a
// codec, and nothing but the sound leaves the device.

import { encodeWav } from "./wav.js";

const WORKLET = new URL("pcm-worklet.js", import.meta.url);

/** Safari does not start an audio context that it thinks nobody asked for, and does not say so either. */
const START_MILLISECONDS = 1000;

/** @returns {boolean} Whether this browser hands samples over. */
export const canKeepSound = () => "AudioWorkletNode" in window && "OfflineAudioContext" in window;

/**
 * Listen to a stream, keeping nothing yet.
 *
 * @param {MediaStream} stream - With sound.
 * @param {number} seconds - The most that is kept.
 * @param {AbortSignal} signal - Ends it.
 * @returns {Promise<{begin: (delay: number) => void, end: () => Promise<Float32Array>, sampleRate: number} | null>}
 *   `begin` keeps what is heard after so many seconds, `end` gives it, mono, in [-1, 1]; null where the browser gives no
 *   sound.
 */
export async function listen(stream, seconds, signal) {
  const context = new AudioContext();
  const close = () => context.state !== "closed" && context.close();
  signal.addEventListener("abort", close);
  await Promise.race([
    Promise.all([context.resume(), context.audioWorklet.addModule(WORKLET)]),
    new Promise((resolve) => setTimeout(resolve, START_MILLISECONDS)),
  ]);
  if (context.state !== "running" || signal.aborted) {
    return null;
  }
  const length = Math.round(seconds * context.sampleRate);
  const keeper = new AudioWorkletNode(context, "keeper", { processorOptions: { length } });
  // Nothing is to be heard of it, yet only what leads to the loudspeaker is computed.
  context.createMediaStreamSource(stream).connect(keeper).connect(context.destination);
  return {
    sampleRate: context.sampleRate,
    begin: (delay) => keeper.port.postMessage({ skip: Math.round(delay * context.sampleRate) }),
    async end() {
      const samples = await new Promise((resolve) => {
        keeper.port.onmessage = ({ data }) => resolve(data);
        keeper.port.postMessage({ end: true });
      });
      close();
      return samples;
    },
  };
}

/**
 * Sound at another rate, as a file.
 *
 * The browser's decoder of files resamples with a low-pass, as FFmpeg does on the server; its players do not, and fold
 * what the lower rate cannot hold back into what it can.
 *
 * @param {Float32Array} samples - Mono, in [-1, 1].
 * @param {number} from - Their rate, in Hz.
 * @param {number} to - The rate of the file, in Hz.
 * @param {number} seconds - The most that the file holds.
 * @returns {Promise<Blob>} A WAV file.
 */
export async function soundFile(samples, from, to, seconds) {
  const decoder = new OfflineAudioContext(1, 1, to);
  const resampled = (await decoder.decodeAudioData(encodeWav(samples, from))).getChannelData(0);
  return new Blob([encodeWav(resampled.subarray(0, Math.round(seconds * to)), to)], { type: "audio/wav" });
}
