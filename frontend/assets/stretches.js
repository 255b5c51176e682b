// What a timeline says in words: stretches with the same emotion, where they are doubtful, and where nobody was there.

import { seconds } from "./words.js";

/**
 * @typedef {object} Stretch - A part of the clip, in seconds; each row stands for a step around its middle.
 * @property {string | null} label - The emotion on top; null where nobody was seen or heard.
 * @property {boolean} uncertain
 * @property {number} start
 * @property {number} end
 */

/**
 * Stretches of time with the same emotion on top, and the same doubt about it.
 *
 * @param {import("./timeline.js").Timeline} timeline
 * @returns {Stretch[]} They fill the clip.
 */
export function stretches({ rows, step, duration }) {
  const found = [];
  for (const [index, row] of rows.entries()) {
    const middle = (row.start + row.end) / 2;
    const start = index === 0 ? 0 : middle - step / 2;
    const end = index === rows.length - 1 ? duration : middle + step / 2;
    const label = row.top1?.label ?? null;
    const last = found.at(-1);
    if (last?.label === label && last.uncertain === row.uncertain) {
      last.end = end;
    } else {
      found.push({ label, uncertain: row.uncertain, start, end });
    }
  }
  return found;
}

/**
 * @param {import("./timeline.js").Timeline} timeline
 * @returns {string} What was on top for the longest, and whether that is to be believed.
 */
export function title(timeline) {
  const parts = stretches(timeline);
  const most = mostOf(parts);
  if (most === null) {
    return "Nobody was seen or heard";
  }
  if (lengthOf(parts.filter(({ label }) => label === null)) > timeline.duration / 2) {
    return `Mostly nobody, otherwise ${most}`;
  }
  const its = parts.filter(({ label }) => label === most);
  return lengthOf(its.filter(({ uncertain }) => uncertain)) > lengthOf(its) / 2
    ? `Mostly ${most}, with doubt`
    : `Mostly ${most}`;
}

/**
 * @param {import("./timeline.js").Timeline} timeline
 * @returns {string} The stretches, in sentences.
 */
export function summary(timeline) {
  const when = ({ start, end }) => `from ${start.toFixed(1)} to ${seconds(end)}`;
  const [seen, empty] = [[], []];
  for (const part of stretches(timeline)) {
    (part.label === null ? empty : seen).push(part);
  }
  const said = seen.map((part) => `${part.uncertain ? "perhaps " : ""}${part.label} ${when(part)}`);
  return [
    ...(said.length > 0 ? [`Most expressed, by this estimate: ${said.join(", ")}.`] : []),
    ...(empty.length > 0 ? [`Nobody was seen or heard ${empty.map(when).join(", ")}.`] : []),
  ].join(" ");
}

/**
 * @param {import("./timeline.js").Timeline} timeline
 * @param {number} time - In seconds.
 * @returns {import("./timeline.js").Row} The row whose middle is the nearest.
 */
export function rowAt({ rows }, time) {
  const distance = ({ start, end }) => Math.abs((start + end) / 2 - time);
  return rows.reduce((nearest, other) => (distance(other) < distance(nearest) ? other : nearest));
}

/** The emotion that is on top for the longest; null if nobody was seen or heard at all. */
function mostOf(parts) {
  const labels = new Set(parts.map(({ label }) => label).filter((label) => label !== null));
  const times = [...labels].map((label) => [label, lengthOf(parts.filter((part) => part.label === label))]);
  return times.reduce((longest, other) => (other[1] > longest[1] ? other : longest), [null, 0])[0];
}

function lengthOf(parts) {
  return parts.reduce((sum, { start, end }) => sum + end - start, 0);
}
