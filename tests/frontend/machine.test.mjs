// The state machine, run by node's own runner: node --test tests/frontend

import assert from "node:assert/strict";
import test from "node:test";

import { createMachine, STATES, transition } from "../../frontend/assets/machine.js";

const stream = Symbol("stream");
const clip = Symbol("clip");
const entry = Symbol("entry");
const failure = Symbol("failure");
const EVENTS = [
  "open",
  "granted",
  "record",
  "elapsed",
  "recorded",
  "send",
  "track",
  "tracked",
  "back",
  "answered",
  "failed",
  "cancel",
  "close",
  "choose",
  "show",
  "showTimeline",
];

/** The state after some events, each a name or a name with what it brings. */
const after = (...events) =>
  events
    .map((event) => [event].flat())
    .reduce(
      (state, [event, data]) => transition(state, event, data) ?? assert.fail(`${event} is ignored in ${state.name}`),
      { name: "idle" },
    );

const opened = ["open", ["granted", { stream }]];
const recorded = [...opened, "record", "elapsed", ["recorded", { clip }]];

test("a recording goes through every state to its result", () => {
  assert.deepEqual(after("open"), { name: "permission" });
  assert.deepEqual(after(...opened), { name: "ready", stream });
  assert.deepEqual(after(...opened, "record"), { name: "countdown", stream });
  assert.deepEqual(after(...opened, "record", "elapsed"), { name: "recording", stream });
  assert.deepEqual(after(...recorded), { name: "review", clip });
  assert.deepEqual(after(...recorded, "send"), { name: "uploading", clip });
  assert.deepEqual(after(...recorded, "send", ["answered", { entry }]), { name: "result", entry });
});

test("the camera is let go of as soon as the clip is there", () => {
  assert.equal("stream" in after(...recorded), false);
});

test("a countdown and a recording that are cancelled keep the camera", () => {
  assert.deepEqual(after(...opened, "record", "cancel"), { name: "ready", stream });
  assert.deepEqual(after(...opened, "record", "elapsed", "cancel"), { name: "ready", stream });
});

test("an upload that is cancelled or fails keeps the clip", () => {
  assert.deepEqual(after(...recorded, "send", "cancel"), { name: "review", clip });
  assert.deepEqual(after(...recorded, "send", ["failed", { failure }]), { name: "error", failure, clip });
  assert.deepEqual(after(...recorded, "send", ["failed", { failure }], "send"), { name: "uploading", clip });
});

test("an upload over time ends in a timeline, and is what is tried again after a failure", () => {
  assert.deepEqual(after(...recorded, "track", ["tracked", { entry }]), { name: "timeline", entry });
  assert.deepEqual(after(...recorded, "track", "cancel"), { name: "review", clip });
  const failed = after(...recorded, "track", ["failed", { failure, again: "track" }]);
  assert.deepEqual(failed, { name: "error", failure, clip, again: "track" });
  assert.deepEqual(transition(failed, failed.again), { name: "tracking", clip });
});

test("from a failure a clip can be looked at again", () => {
  assert.deepEqual(after(...recorded, "send", ["failed", { failure }], "back"), { name: "review", clip });
});

test("a result is left for its clip", () => {
  const result = after(...recorded, "send", ["answered", { entry }]);
  assert.deepEqual(transition(result, "back", { clip }), { name: "review", clip });
});

test("a failure of the camera has no clip to send", () => {
  const state = after("open", ["failed", { failure }]);
  assert.deepEqual(state, { name: "error", failure });
  assert.throws(() => transition(state, "send"), /error → uploading by send lacks clip/);
});

test("retaking throws the clip away and asks for the camera again", () => {
  assert.deepEqual(after(...recorded, "open"), { name: "permission" });
});

test("events that a state does not know are ignored", () => {
  assert.equal(transition({ name: "idle" }, "recorded", { clip }), null);
  assert.equal(transition({ name: "review", clip }, "granted", { stream }), null);
  assert.equal(transition({ name: "recording", stream }, "send"), null);
});

test("every state can be reached and left", () => {
  const seen = new Map([["idle", { name: "idle" }]]);
  for (const state of seen.values()) {
    for (const event of EVENTS) {
      const next = transition({ clip, ...state }, event, { stream, clip, entry, failure });
      if (next !== null && !seen.has(next.name)) {
        seen.set(next.name, next);
      }
    }
    assert.notEqual(EVENTS.filter((event) => transition({ ...state, stream, clip, entry, failure }, event)).length, 0);
  }
  assert.deepEqual([...seen.keys()].sort(), [...STATES].sort());
});

test("the signal of a state is aborted when it is left, and not before", () => {
  const signals = [];
  const machine = createMachine((_next, _previous, signal) => signals.push(signal));
  assert.equal(machine.dispatch("open"), true);
  assert.equal(machine.dispatch("recorded", { clip }), false);
  assert.equal(signals[0].aborted, false);
  machine.dispatch("granted", { stream });
  assert.deepEqual(
    signals.map((signal) => signal.aborted),
    [true, false],
  );
  assert.equal(machine.state.name, "ready");
});

test("a state that dispatches on the way in ends up where it dispatched to", () => {
  const names = [];
  const machine = createMachine((next) => {
    names.push(next.name);
    if (next.name === "permission") {
      machine.dispatch("failed", { failure });
    }
  });
  machine.dispatch("open");
  assert.deepEqual(names, ["permission", "error"]);
  assert.equal(machine.state.name, "error");
});
