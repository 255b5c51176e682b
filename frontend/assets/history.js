// The results of this visit, in the memory of this tab and nowhere else, and their export as a file.

/**
 * @typedef {object} Entry
 * @property {string} time - When, ISO 8601.
 * @property {import("./machine.js").Clip} clip - What was looked at; exported by its name.
 * @property {import("./options.js").Mode} sent - What left the device.
 * @property {import("./api.js").Answer} [answer] - What the server said of the window.
 * @property {import("./timeline.js").Timeline} [timeline] - Or what it said of every step.
 * @property {Promise<Blob[]>} [pictures] - What the model looked at; not exported.
 */

/** The results, the newest first. */
export class History {
  /** @type {Entry[]} */
  entries = [];

  /**
   * @param {Omit<Entry, "time">} result - What came back.
   * @returns {Entry}
   */
  add(result) {
    const entry = { time: new Date().toISOString(), ...result };
    this.entries.unshift(entry);
    return entry;
  }

  /** Forget everything. */
  clear() {
    this.entries = [];
  }

  /** @returns {string} All entries as JSON. */
  toJSONText() {
    return JSON.stringify(
      this.entries.map(({ pictures: _, clip, ...entry }) => ({ ...entry, clip: clip.name })),
      null,
      2,
    );
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
