// Shows what went wrong and what can be done about it; a server that asks for a pause gets it.

import { byId } from "./elements.js";
import { elapse } from "./timing.js";
import { announce } from "./view.js";

/**
 * Fill the error section.
 *
 * @param {import("./machine.js").State} state - With its failure.
 * @param {AbortSignal} signal - Ends the countdown.
 */
export async function showFailure({ failure }, signal) {
  byId("error-title").textContent = failure.title;
  byId("error-message").textContent = failure.message;
  byId("error-message").hidden = failure.message === "";
  byId("error-advice").textContent = failure.advice;
  byId("key-form").hidden = failure.kind !== "unauthorized";
  const again = byId("send-again");
  again.hidden = failure.remedy !== "send" || failure.kind === "unauthorized";
  byId("open-again").textContent = failure.remedy === "open" ? "Try again" : "Record";
  byId("open-again").classList.toggle("primary", failure.remedy !== "send");
  byId("open-again").hidden = failure.kind === "insecure" || failure.kind === "unsupported";
  again.disabled = failure.retryAfter !== null;
  again.textContent = "Send again";
  if (failure.retryAfter !== null) {
    await elapse(failure.retryAfter, signal, (left) => {
      again.textContent = `Send again in ${Math.ceil(left)} s`;
    });
    again.disabled = false;
    again.textContent = "Send again";
    announce("You can send the clip again.");
  }
}
