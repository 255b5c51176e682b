// What the page computes without a browser, run by node's own runner: node --test tests/frontend

import assert from "node:assert/strict";
import test from "node:test";

import { failureOfCamera, failureOfResponse } from "../../frontend/assets/failures.js";
import { loudness } from "../../frontend/assets/level.js";
import { negotiateMimeType } from "../../frontend/assets/media.js";
import { elapse } from "../../frontend/assets/timing.js";

test("webm comes first, and Safari gets mp4", () => {
  assert.equal(
    negotiateMimeType("video", () => true),
    "video/webm;codecs=vp9,opus",
  );
  assert.equal(
    negotiateMimeType("video", (type) => type.startsWith("video/mp4")),
    "video/mp4;codecs=avc1.42E01E,mp4a.40.2",
  );
  assert.equal(
    negotiateMimeType("audio", (type) => type.startsWith("audio/mp4")),
    "audio/mp4",
  );
  assert.equal(
    negotiateMimeType("video", () => false),
    null,
  );
});

test("errors of the browser become kinds with something to do", () => {
  const kind = (name) => failureOfCamera(new DOMException("", name)).kind;
  assert.equal(kind("NotAllowedError"), "denied");
  assert.equal(kind("NotFoundError"), "no-device");
  assert.equal(kind("NotReadableError"), "busy");
  assert.equal(failureOfCamera(undefined).kind, "unsupported");
});

test("answers of the server become kinds, with its own words and its pause", () => {
  const busy = failureOfResponse(429, { error: { message: "Too many clips are waiting." } }, "7");
  assert.deepEqual([busy.kind, busy.message, busy.retryAfter], ["rate-limited", "Too many clips are waiting.", 7]);
  const broken = failureOfResponse(502, null, "soon");
  assert.deepEqual(
    [broken.kind, broken.message, broken.retryAfter],
    ["unexpected", "The server answered with status 502.", null],
  );
});

test("loudness goes from silence to full scale in even steps", () => {
  const level = (amplitude) => loudness(new Float32Array(64).fill(amplitude));
  assert.equal(level(0), 0);
  assert.equal(level(1), 1);
  assert.ok(Math.abs(level(0.1) - 2 / 3) < 1e-6);
});

test("a wait ticks down to zero", async () => {
  const ticks = [];
  await elapse(0.12, new AbortController().signal, (left) => ticks.push(left));
  assert.equal(ticks.at(-1), 0);
  assert.deepEqual(
    ticks,
    ticks.toSorted((a, b) => b - a),
  );
});

test("a wait that is called off ends at once and ticks no more", async () => {
  const controller = new AbortController();
  let ticks = 0;
  const wait = elapse(60, controller.signal, () => (ticks += 1));
  controller.abort();
  await assert.rejects(wait, { name: "AbortError" });
  assert.equal(ticks, 1);
});
