// The plain upload page: choose a clip, send it, see the answer.

import { predict } from "./api.js";
import { showResult } from "./result.js";

const form = document.getElementById("upload");
const input = document.getElementById("clip");
const button = form.querySelector("button");
const status = document.getElementById("status");
const result = document.getElementById("result");

function say(text, isFault = false) {
  status.textContent = text;
  status.classList.toggle("fault", isFault);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  result.hidden = true;
  button.disabled = true;
  say("Sending the clip…");
  try {
    const answer = await predict(input.files[0]);
    say("");
    showResult(result, answer);
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
});
