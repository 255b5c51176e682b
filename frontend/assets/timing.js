// Waiting that can be called off: the countdown, the recording and the pause that a busy server asks for all end
// early when their state is left.

const TICK_MILLISECONDS = 50;

/**
 * Wait, and say how far it is.
 *
 * @param {number} seconds - How long.
 * @param {AbortSignal} signal - Ends the wait; the promise is then rejected.
 * @param {(left: number) => void} onTick - Called at once and about 20 times a second with the seconds left.
 * @returns {Promise<void>}
 */
export function elapse(seconds, signal, onTick) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const end = performance.now() + 1000 * seconds;
    // Not animation frames: they stop in a hidden tab, and a recording would never end there.
    const timer = setInterval(tick, TICK_MILLISECONDS);
    // Ticks are coarse, and a recording should be no longer than what is read of it.
    const last = setTimeout(tick, Math.ceil(1000 * seconds));
    signal.addEventListener("abort", () => {
      stop();
      reject(signal.reason);
    });
    tick();

    function tick() {
      const left = Math.max(0, (end - performance.now()) / 1000);
      onTick(left);
      if (left === 0) {
        stop();
        resolve();
      }
    }

    function stop() {
      clearInterval(timer);
      clearTimeout(last);
    }
  });
}
