// What the page makes of answers, run by node's own runner: node --test tests/frontend

import assert from "node:assert/strict";
import test from "node:test";

import { Lines } from "../../frontend/assets/api.js";
import { Failure } from "../../frontend/assets/failures.js";
import { History } from "../../frontend/assets/history.js";
import { hints } from "../../frontend/assets/quality.js";
import { rowAt, stretches, summary, title } from "../../frontend/assets/stretches.js";
import { TimelineReader } from "../../frontend/assets/timeline.js";

const good = {
  quality: { face_height: 0.5, brightness: 0.5, audio_level: -30, clipping: 0, padding: 0 },
  modalities: { video: true, audio: true },
  missing: {},
};
const worse = (quality) => hints({ ...good, quality: { ...good.quality, ...quality } });

test("a good clip gets no hints, a bad one is told what to do", () => {
  assert.deepEqual(hints(good), []);
  assert.match(worse({ brightness: 0.05 })[0], /too dark/);
  assert.match(worse({ brightness: 0.99 })[0], /too bright/);
  assert.match(worse({ face_height: 0.1 })[0], /come closer/);
  assert.match(worse({ audio_level: -75 })[0], /hardly any sound/);
  assert.match(worse({ clipping: 0.02 })[0], /distorted/);
  assert.match(worse({ padding: 0.4 })[0], /short/);
});

test("what is missing is said once, in the server's words", () => {
  const silent = { ...good.quality, audio_level: null, clipping: null };
  const missing = { audio: "The file has no audio track." };
  const lines = hints({ ...good, quality: silent, modalities: { video: true, audio: false }, missing });
  assert.deepEqual(lines, ["The file has no audio track."]);
  const unseen = { face_height: null, brightness: null, audio_level: -30, clipping: 0, padding: 0 };
  const heard = { ...good, quality: unseen, modalities: { video: false, audio: true } };
  assert.deepEqual(hints({ ...heard, missing: { video: "No frames were sent." } }), ["No frames were sent."]);
});

test("lines are read once and whole, however the text comes in", () => {
  const text = '{"a":1}\n{"b":2}\n\n{"c":3}\n';
  for (let size = 1; size <= text.length; size += 1) {
    const seen = [];
    const lines = new Lines((line) => seen.push(line));
    for (let end = size; end < text.length + size; end += size) {
      lines.read(text.slice(0, end));
    }
    assert.deepEqual(seen, [{ a: 1 }, { b: 2 }, { c: 3 }]);
  }
});

const row = (start, label, uncertain = false) => ({
  ...{ type: "row", start, end: start + 3, uncertain, face: null },
  ...(label === null ? { top1: null, probs: null } : { top1: { label, prob: 50 }, probs: [50, 50] }),
});
const end = { type: "end" };
const start = { type: "start", labels: ["calm", "happy"], duration: 4.5, step: 0.5 };

/** The timeline after some lines. */
function read(...lines) {
  const reader = new TimelineReader(() => {});
  for (const line of lines) {
    reader.read(line);
  }
  return reader.whole();
}

test("a streamed timeline is put together, and one that breaks off is a failure", () => {
  const lines = [start, row(0, "calm"), row(0.5, "calm"), { type: "end", rows: 2, timings_ms: { total: 9 } }];
  const timeline = read(...lines);
  assert.equal(timeline.rows.length, 2);
  assert.deepEqual(timeline.timings_ms, { total: 9 });
  assert.throws(() => read(...lines.slice(0, 3)), Failure);
  const error = { type: "error", error: { code: "model_unavailable", message: "No model answers." } };
  assert.throws(() => read(start, row(0, "calm"), error), { kind: "unavailable", message: "No model answers." });
});

test("neighbours with the same emotion and the same doubt are one stretch, and together fill the clip", () => {
  const timeline = read(start, row(0, "calm"), row(0.5, "happy"), row(1, "happy"), row(1.5, "happy", true), end);
  assert.deepEqual(stretches(timeline), [
    { label: "calm", uncertain: false, start: 0, end: 1.75 },
    { label: "happy", uncertain: false, start: 1.75, end: 2.75 },
    { label: "happy", uncertain: true, start: 2.75, end: 4.5 },
  ]);
});

test("headline and sentence say what is doubtful and where nobody was", () => {
  const certain = read(start, row(0, "calm"), row(0.5, "happy"), row(1, "happy"), end);
  assert.equal(title(certain), "Mostly happy");
  const doubtful = read(start, row(0, "calm"), row(0.5, "calm", true), row(1, "calm", true), end);
  assert.equal(title(doubtful), "Mostly calm, with doubt");
  assert.match(summary(doubtful), /calm from 0\.0 to 1\.8.s, perhaps calm from 1\.8 to 4\.5.s\.$/);
  const empty = read(start, row(0, null, true), row(0.5, null, true), row(1.5, "calm"), end);
  assert.equal(title({ ...empty, step: 1 }), "Mostly nobody, otherwise calm");
  assert.match(summary(empty), /calm from 2\.8 to 4\.5.s\. Nobody was seen or heard from 0\.0 to 2\.3.s\.$/);
  const nobody = read(start, row(0, null, true), row(1.5, null, true), end);
  assert.equal(title(nobody), "Nobody was seen or heard");
  assert.equal(summary(nobody), "Nobody was seen or heard from 0.0 to 4.5\u00a0s.");
});

test("the row of a moment is the one whose window lies around it", () => {
  const timeline = read(start, row(0, "calm"), row(0.5, "happy"), row(1.5, "calm"), end);
  for (const [time, beginning] of [
    [0, 0],
    [1.7, 0],
    [1.8, 0.5],
    [4.5, 1.5],
  ]) {
    assert.equal(rowAt(timeline, time).start, beginning);
  }
});

test("the export holds answers and no pictures", () => {
  const history = new History();
  const pictures = Promise.resolve([]);
  history.add({ clip: { name: "one", blob: new Blob(["x"]) }, sent: "sampled", answer: { probs: [100] }, pictures });
  const [entry] = JSON.parse(history.toJSONText());
  assert.deepEqual(Object.keys(entry).sort(), ["answer", "clip", "sent", "time"]);
  assert.equal(entry.clip, "one");
});
