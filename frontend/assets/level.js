// How loud the microphone is, so that a person sees before recording that it hears them.

const UPDATE_MILLISECONDS = 100;

/** Quieter than this counts as nothing, in dB below full scale. */
const FLOOR_DECIBELS = 60;

/**
 * Show the level of a stream for as long as a state lasts.
 *
 * @param {MediaStream} stream - The open camera.
 * @param {HTMLMeterElement} meter - From 0 to 1.
 * @param {AbortSignal} signal - Ends it.
 */
export function showLevel(stream, meter, signal) {
  meter.hidden = stream.getAudioTracks().length === 0;
  if (meter.hidden) {
    return;
  }
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    meter.value = loudness(samples);
  }, UPDATE_MILLISECONDS);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    context.close();
  });
}

/**
 * @param {Float32Array} samples - In [-1, 1].
 * @returns {number} From 0, silence, to 1, full scale; even steps sound even.
 */
export function loudness(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power)) / FLOOR_DECIBELS));
}
