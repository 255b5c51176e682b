// Runs in the audio thread: keeps the samples that come in while it is told to, and hands them over when it is told
// that it is enough. The page's own thread is too busy to keep up.

class Keeper extends AudioWorkletProcessor {
  #samples;
  #kept = 0;
  #skip = Number.POSITIVE_INFINITY;

  constructor({ processorOptions }) {
    super();
    this.#samples = new Float32Array(processorOptions.length);
    this.port.onmessage = ({ data }) => {
      if (data.end) {
        this.port.postMessage(this.#samples.slice(0, this.#kept));
      }
      this.#skip = data.end ? Number.POSITIVE_INFINITY : data.skip;
    };
  }

  process([channels]) {
    if (channels.length > 0) {
      for (let index = this.#skip; index < channels[0].length && this.#kept < this.#samples.length; index += 1) {
        // The mean, as avemotion/preprocessing/audio.py mixes channels.
        this.#samples[this.#kept] = channels.reduce((sum, channel) => sum + channel[index], 0) / channels.length;
        this.#kept += 1;
      }
      this.#skip = Math.max(0, this.#skip - channels[0].length);
    }
    return true;
  }
}

registerProcessor("keeper", Keeper);
