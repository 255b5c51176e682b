// How labels and numbers are written, so that a result reads the same everywhere on the page.

const oneDecimal = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** @param {number} value - In percent. @returns {string} Such as "20.5 %", which does not break. */
export const percent = (value) => `${oneDecimal.format(value)}\u00a0%`;

/** @param {string} word @returns {string} */
export const capitalised = (word) => word.charAt(0).toUpperCase() + word.slice(1);

/** @param {import("./api.js").Answer} answer @returns {string} Such as "Angry – 20.5 %". */
export const headline = (answer) => `${capitalised(answer.top1.label)} – ${percent(answer.top1.prob)}`;

/** @param {number} bytes @returns {string} Such as "1.2 MB" or "340 kB", which does not break. */
export const size = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)}\u00a0kB` : `${(bytes / 1e6).toFixed(1)}\u00a0MB`;

/** @param {number} value - In seconds. @returns {string} Such as "12.5 s". */
export const seconds = (value) => `${oneDecimal.format(value)}\u00a0s`;
