// Sound as a WAV file of 16-bit samples, which every decoder reads. The format: "Multimedia Programming Interface and
// Data Specifications 1.0" of IBM and Microsoft, 1991.

const HEADER_BYTES = 44;
const BYTES_PER_SAMPLE = 2;
const PCM = 1;

/**
 * @param {Float32Array} samples - Mono, in [-1, 1]; what lies beyond is clipped.
 * @param {number} sampleRate - In Hz.
 * @returns {ArrayBuffer} The file.
 */
export function encodeWav(samples, sampleRate) {
  const bytes = samples.length * BYTES_PER_SAMPLE;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + bytes));
  const text = (offset, word) => {
    for (const [index, letter] of [...word].entries()) {
      view.setUint8(offset + index, letter.charCodeAt(0));
    }
  };
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, PCM, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * BYTES_PER_SAMPLE, true);
  view.setUint16(32, BYTES_PER_SAMPLE, true);
  view.setUint16(34, 8 * BYTES_PER_SAMPLE, true);
  text(36, "data");
  view.setUint32(40, bytes, true);
  for (const [index, sample] of samples.entries()) {
    const scaled = Math.round(Math.max(-1, Math.min(1, sample)) * 0x8000);
    view.setInt16(HEADER_BYTES + index * BYTES_PER_SAMPLE, Math.min(0x7fff, scaled), true);
  }
  return view.buffer;
}
