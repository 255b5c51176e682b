// The results of this visit, in the memory of this tab and nowhere else, and their export as a file.

/**
 * @typedef {object} Entry
 * @property {string} time - When, ISO 8601.
 * @property {string} clip - What the person calls the clip.
 * @property {import("./api.js").Answer} answer - What the server said.
 */

/** The results, the newest first. */
export class History {
  /** @type {Entry[]} */
  entries = [];

  /**
   * @param {import("./machine.js").Clip} clip - What was sent.
   * @param {import("./api.js").Answer} answer - What came back.
   * @returns {Entry}
   */
  add(clip, answer) {
    const entry = { time: new Date().toISOString(), clip: clip.name, answer };
    this.entries.unshift(entry);
    return entry;
  }

  /** Forget everything. */
  clear() {
    this.entries = [];
  }

  /** @returns {string} All entries as JSON. */
  toJSONText() {
    return JSON.stringify(this.entries, null, 2);
  }
}

/**
 * Offer a text as a file to save.
 *
 * @param {string} text
 * @param {string} name - Its file name.
 */
export function saveAsFile(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
