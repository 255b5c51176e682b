// The chart of a timeline: a curve for each emotion, one below the other, so that eight of them can be told apart
// without eight colours. People who do not see it have the table.

import { element } from "./elements.js";
import { stretches } from "./stretches.js";
import { capitalised, percent } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** Height of a curve in its own units; its width is the clip's duration. */
const FULL = 100;

/** Marks on the axis of time lie this far apart, in seconds; the first distance that gives few enough is taken. */
const DISTANCES = [1, 2, 5, 10, 20];
const MOST_MARKS = 8;

/**
 * Draw the chart.
 *
 * @param {HTMLElement} chart - What it is drawn into.
 * @param {import("./timeline.js").Timeline} timeline
 * @param {string} summary - What it shows, in words.
 */
export function showChart(chart, timeline, summary) {
  const { labels, rows, duration } = timeline;
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", summary);
  const tops = new Set(rows.map(({ top1 }) => top1?.label));
  const doubts = stretches(timeline).filter(({ label, uncertain }) => label !== null && uncertain);
  chart.replaceChildren(
    ...labels.flatMap((label, index) => [
      element("span", { class: "label" }, capitalised(label)),
      curve(timeline, index, tops.has(label), doubts),
      element("span", { class: "number" }, percent(Math.max(0, ...rows.map(({ probs }) => probs?.[index] ?? 0)))),
    ]),
    axis(duration),
    element("span", { class: "moment" }),
  );
}

/**
 * Mark a moment.
 *
 * @param {HTMLElement} chart
 * @param {number} share - Of the duration, from 0 to 1.
 */
export function showMoment(chart, share) {
  chart.style.setProperty("--moment", String(Math.min(1, share)));
}

function curve({ rows, duration }, index, isTop, doubts) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${duration} ${FULL}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", isTop ? "curve top" : "curve");
  svg.append(...doubts.map(({ start, end }) => path("doubt", `M ${start} 0 H ${end} V ${FULL} H ${start} Z`)));
  for (const points of partsOf(rows, index, duration)) {
    const line = points.map(([x, y]) => `${x} ${y}`).join(" L ");
    const [start, end] = [points[0][0], points.at(-1)[0]];
    svg.append(path("area", `M ${start} ${FULL} L ${line} L ${end} ${FULL} Z`), path("line", `M ${line}`));
  }
  return svg;
}

/**
 * The parts of a curve, between which nobody was seen or heard. An estimate stands for a step around the middle of its
 * window; the first and the last reach to the ends of the clip.
 */
function partsOf(rows, index, duration) {
  const step = rows.length > 1 ? rows[1].start - rows[0].start : 0;
  const isLast = rows.at(-1).end >= duration - step;
  const parts = [];
  let part = null;
  for (const [number, { start, end, probs }] of rows.entries()) {
    if (probs === null) {
      part = null;
      continue;
    }
    const [middle, height] = [(start + end) / 2, FULL - probs[index]];
    if (part === null) {
      part = [[number === 0 ? 0 : middle - step / 2, height]];
      parts.push(part);
    }
    part.push([middle, height]);
    if (number === rows.length - 1) {
      part.push([isLast ? duration : end, height]);
    } else if (rows[number + 1].probs === null) {
      part.push([middle + step / 2, height]);
    }
  }
  return parts;
}

function path(kind, d) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("class", kind);
  made.setAttribute("d", d);
  return made;
}

function axis(duration) {
  const distance = DISTANCES.find((candidate) => duration / candidate <= MOST_MARKS) ?? DISTANCES.at(-1);
  const marks = [];
  for (let time = 0; time <= duration; time += distance) {
    const mark = element("span", {}, `${time} s`);
    mark.style.setProperty("--share", `${(100 * time) / duration}%`);
    marks.push(mark);
  }
  return element("div", { class: "axis" }, ...marks);
}
