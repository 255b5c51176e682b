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
export async function showFailure({ failure, clip, again: event = "send" }, signal) {
  const isAbleToSend = clip !== undefined && failure.remedy === "send";
  byId("error-title").textContent = failure.title;
  byId("error-message").textContent = failure.message;
  byId("error-message").hidden = failure.message === "";
  byId("error-advice").textContent = isAbleToSend ? `The clip is still here. ${failure.advice}` : failure.advice;
  byId("key-form").hidden = failure.kind !== "unauthorized";
  const again = byId("send-again");
  again.dataset.event = event;
  again.hidden = !isAbleToSend || failure.kind === "unauthorized";
  byId("open-again").textContent = isAbleToSend || failure.remedy === "none" ? "Record" : "Try again";
  byId("open-again").classList.toggle("primary", !isAbleToSend);
  byId("open-again").hidden = failure.kind === "insecure" || failure.kind === "unsupported";
  byId("back-to-clip").hidden = clip === undefined;
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
