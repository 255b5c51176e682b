// The chart of a timeline: a curve for each emotion, one below the other, so that eight of them can be told apart
// without eight colours. People who do not see it have the table.

import { element } from "./elements.js";
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
  const tops = new Set(rows.map(({ top1 }) => top1.label));
  chart.replaceChildren(
    ...labels.flatMap((label, index) => [
      element("span", { class: "label" }, capitalised(label)),
      curve(timeline, index, tops.has(label)),
      element("span", { class: "number" }, percent(Math.max(0, ...rows.map(({ probs }) => probs[index])))),
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

function curve({ rows, duration }, index, isTop) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${duration} ${FULL}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", isTop ? "curve top" : "curve");
  const points = pointsOf(rows, index, duration);
  const line = points.map(([x, y]) => `${x} ${y}`).join(" L ");
  const end = points.at(-1)[0];
  svg.append(path("area", `M 0 ${FULL} L ${line} L ${end} ${FULL} Z`), path("line", `M ${line}`));
  return svg;
}

/** An estimate stands at the middle of its window; the first and the last reach to the ends of the clip. */
function pointsOf(rows, index, duration) {
  const points = rows.map(({ start, end, probs }) => [(start + end) / 2, FULL - probs[index]]);
  const isLast = rows.at(-1).end >= duration - (rows.length > 1 ? rows[1].start - rows[0].start : 0);
  return [[0, points[0][1]], ...points, [isLast ? duration : rows.at(-1).end, points.at(-1)[1]]];
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
