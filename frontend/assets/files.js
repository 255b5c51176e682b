// Files instead of a recording: chosen by a picker, or dropped anywhere on the page.

import { byId } from "./elements.js";

/**
 * Tell when a file is chosen.
 *
 * @param {(clip: import("./machine.js").Clip) => void} onFile
 */
export function watchFiles(onFile) {
  const input = byId("file");
  input.addEventListener("change", () => {
    take(input.files, onFile);
    // Else choosing the same file again would say nothing.
    input.value = "";
  });
  const zone = byId("drop");
  document.addEventListener("dragover", (event) => {
    // Without this the browser leaves the page and opens the file.
    event.preventDefault();
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) {
      zone.classList.remove("over");
    }
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer.files, onFile);
  });
}

function take(files, onFile) {
  if (files.length > 0) {
    onFile({ blob: files[0], name: files[0].name, source: "file", samples: null });
  }
}
