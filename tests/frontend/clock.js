// The clock of a page under test: it can be stopped, to look at a state that passes by itself, and moved on, not to
// wait for it. Timers run on, so that the tools that look at the page work.

{
  const realNow = performance.now.bind(performance);
  let ahead = 0;
  let stoppedAt = null;
  performance.now = () => stoppedAt ?? realNow() + ahead;
  window.testClock = {
    stop() {
      stoppedAt = performance.now();
    },
    /** @param {number} seconds */
    move(seconds) {
      ahead += 1000 * seconds;
      stoppedAt = stoppedAt === null ? null : stoppedAt + 1000 * seconds;
    },
    run() {
      ahead = stoppedAt === null ? ahead : stoppedAt - realNow();
      stoppedAt = null;
    },
  };
}
