// A longer clip over time: rows come in one by one, the chart grows, and a table holds the same numbers.

import { showChart, showMoment } from "./chart.js";
import { byId, element } from "./elements.js";
import { placeOver } from "./face.js";
import { Failure, failureOfResponse } from "./failures.js";
import { rowAt, summary, title } from "./stretches.js";
import { capitalised, percent, seconds } from "./words.js";

/**
 * @typedef {object} Row - An estimate of one window.
 * @property {number} start - In seconds from the start of the clip.
 * @property {number} end
 * @property {number[] | null} probs - In percent; null where nobody was seen or heard.
 * @property {{label: string, prob: number} | null} top1
 * @property {boolean} uncertain
 * @property {import("./face.js").Face | null} face
 *
 * @typedef {object} Timeline
 * @property {string[]} labels
 * @property {number} duration - Of the clip, in seconds.
 * @property {number} step - Between two rows, in seconds.
 * @property {string} model
 * @property {string} model_version
 * @property {Row[]} rows
 */

/** Puts the lines of a streamed answer together. */
export class TimelineReader {
  /** @type {Timeline | null} */
  timeline = null;
  #isWhole = false;
  #onRow;

  /** @param {(timeline: Timeline) => void} onRow - Called after each row. */
  constructor(onRow) {
    this.#onRow = onRow;
  }

  /**
   * @param {object} line
   * @throws {Failure} What the server says went wrong on the way.
   */
  read({ type, ...content }) {
    if (type === "start") {
      this.timeline = { ...content, rows: [] };
    } else if (type === "row") {
      this.timeline.rows.push(content);
      this.#onRow(this.timeline);
    } else if (type === "end") {
      Object.assign(this.timeline, { timings_ms: content.timings_ms });
      this.#isWhole = true;
    } else if (type === "error") {
      throw failureOfResponse(503, content, null);
    }
  }

  /**
   * @returns {Timeline}
   * @throws {Failure} Where the answer broke off.
   */
  whole() {
    if (!this.#isWhole) {
      throw new Failure("unreachable");
    }
    return this.timeline;
  }
}

/**
 * Show what has come in so far.
 *
 * @param {Timeline} timeline
 */
export function showTimeline(timeline) {
  const { labels, rows } = timeline;
  showChart(byId("chart"), timeline, summary(timeline));
  byId("timeline-head").replaceChildren(
    element("th", { scope: "col" }, "Seconds"),
    element("th", { scope: "col" }, "Most"),
    ...labels.map((label) => element("th", { scope: "col" }, capitalised(label))),
  );
  byId("timeline-rows").replaceChildren(
    ...rows.map(({ start, end, top1, uncertain, probs }) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, `${start.toFixed(1)}–${end.toFixed(1)}`),
        element("td", {}, wordsOf(top1, uncertain)),
        ...labels.map((_, index) => element("td", {}, probs === null ? "–" : percent(probs[index]))),
      ),
    ),
  );
}

/**
 * Show all of it, and let the clip play beside it.
 *
 * @param {import("./history.js").Entry} entry
 * @param {AbortSignal} signal - Lets go of the clip.
 */
export function showWholeTimeline({ timeline, clip }, signal) {
  showTimeline(timeline);
  byId("timeline-title").textContent = title(timeline);
  byId("timeline-clip").textContent = `${clip.name}, ${seconds(timeline.duration)}`;
  byId("timeline-summary").textContent = summary(timeline);
  byId("timeline-model").textContent = `${timeline.model}, version ${timeline.model_version}`;
  const player = byId("timeline-player");
  const address = URL.createObjectURL(clip.blob);
  player.hidden = false;
  player.addEventListener("error", () => (player.hidden = true), { signal });
  const show = () => {
    showMoment(byId("chart"), player.currentTime / timeline.duration);
    placeOver(byId("timeline-face"), player, rowAt(timeline, player.currentTime).face);
  };
  for (const event of ["loadeddata", "timeupdate"]) {
    player.addEventListener(event, show, { signal });
  }
  player.src = address;
  signal.addEventListener("abort", () => {
    player.removeAttribute("src");
    player.load();
    URL.revokeObjectURL(address);
  });
}

function wordsOf(top1, uncertain) {
  if (top1 === null) {
    return "nobody seen or heard";
  }
  return uncertain ? `${top1.label}, uncertain` : top1.label;
}
