// What the page sends, as far as it needs no browser, run by node's own runner: node --test tests/frontend

import assert from "node:assert/strict";
import test from "node:test";

import { windowOf } from "../../frontend/assets/pictures.js";
import { encodeWav } from "../../frontend/assets/wav.js";

test("a WAV file holds its samples, clipped, behind a header that describes them", () => {
  const view = new DataView(encodeWav(Float32Array.of(0, 0.5, -0.5, 1, -1, 7, -7), 16_000));
  const text = (offset) => String.fromCharCode(...[0, 1, 2, 3].map((index) => view.getUint8(offset + index)));
  assert.deepEqual([text(0), text(8), text(12), text(36)], ["RIFF", "WAVE", "fmt ", "data"]);
  assert.equal(view.getUint32(4, true), view.byteLength - 8);
  const header = [view.getUint16(20, true), view.getUint16(22, true), view.getUint32(24, true)];
  assert.deepEqual(header, [1, 1, 16_000]);
  assert.deepEqual([view.getUint32(28, true), view.getUint16(32, true), view.getUint16(34, true)], [32_000, 2, 16]);
  assert.equal(view.getUint32(40, true), 14);
  const samples = Array.from({ length: 7 }, (_, index) => view.getInt16(44 + 2 * index, true));
  assert.deepEqual(samples, [0, 16384, -16384, 32767, -32768, 32767, -32768]);
});

test("the window lies at the centre of a clip, and is all of a short one", () => {
  assert.deepEqual(windowOf(10, 3), { start: 3.5, length: 3 });
  assert.deepEqual(windowOf(2, 3), { start: 0, length: 2 });
});
