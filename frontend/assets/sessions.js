// The list of this visit's results on the page.

import { byId, element } from "./elements.js";
import { saveAsFile } from "./history.js";
import { title } from "./stretches.js";
import { headline } from "./words.js";

const timeOfDay = new Intl.DateTimeFormat("en", { timeStyle: "medium" });

/**
 * Show the list, and let its entries be opened, exported and forgotten.
 *
 * @param {import("./history.js").History} history
 * @param {(entry: import("./history.js").Entry) => void} onOpen
 */
export function watchSession(history, onOpen) {
  byId("export").addEventListener("click", () => saveAsFile(history.toJSONText(), "results.json"));
  byId("forget").addEventListener("click", () => {
    history.clear();
    showSession(history, onOpen);
    byId("page-title").focus();
  });
  showSession(history, onOpen);
}

/**
 * @param {import("./history.js").History} history
 * @param {(entry: import("./history.js").Entry) => void} onOpen
 */
export function showSession(history, onOpen) {
  byId("history").hidden = history.entries.length === 0;
  byId("entries").replaceChildren(
    ...history.entries.map((entry) => {
      const { answer, timeline, clip, time } = entry;
      const heading = answer ? headline(answer) : `Over time: ${title(timeline).toLowerCase()}`;
      const button = element(
        "button",
        { type: "button", class: "entry" },
        element("span", {}, answer?.uncertain ? `${heading}, uncertain` : heading),
        element("span", { class: "quiet" }, `${clip.name}, ${timeOfDay.format(new Date(time))}`),
      );
      button.addEventListener("click", () => onOpen(entry));
      return element("li", {}, button);
    }),
  );
}
