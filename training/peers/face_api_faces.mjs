// Classify faces with the package @vladmandic/face-api: node face_api_faces.mjs FACES.raw SIDE PROBABILITIES.json
//
// The working directory is the folder that package.json is installed into. The package's default build needs tfjs-node,
// which downloads TensorFlow from outside npm's registry; this is its WebAssembly build, with the same network. The
// package itself resizes faces to 112×112 pixels and subtracts the mean.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

// Faces computed at once; limits memory.
const BATCH = 32;

// Our labels by those of the package.
const LABELS = {
  neutral: "neutral",
  happy: "happy",
  sad: "sad",
  angry: "angry",
  fearful: "fearful",
  disgusted: "disgust",
  surprised: "surprised",
};

const installed = createRequire(path.resolve("package.json"));
const faceapi = installed("@vladmandic/face-api/dist/face-api.node-wasm.js");
const { version } = installed("@vladmandic/face-api/package.json");
const { tf } = faceapi;
const network = faceapi.nets.faceExpressionNet;

const [source, givenSide, target] = process.argv.slice(2);
const side = Number(givenSide);
const bytes = readFileSync(source);
const count = bytes.length / (side * side * 3);

tf.setWasmPaths(path.join(path.dirname(installed.resolve("@tensorflow/tfjs-backend-wasm/package.json")), "dist/"));
await tf.setBackend("wasm");
await network.loadFromDisk(path.join(path.dirname(installed.resolve("@vladmandic/face-api/package.json")), "model"));

const probabilities = [];
for (let start = 0; start < count; start += BATCH) {
  const faces = Array.from({ length: Math.min(BATCH, count - start) }, (_, index) => {
    const offset = (start + index) * side * side * 3;
    return tf.tensor3d(bytes.subarray(offset, offset + side * side * 3), [side, side, 3], "int32");
  });
  for (const expressions of await network.predictExpressions(faces)) {
    probabilities.push(Object.keys(LABELS).map((label) => expressions[label]));
  }
  tf.dispose(faces);
}
const answer = { package: `@vladmandic/face-api ${version}`, labels: Object.values(LABELS), probabilities };
writeFileSync(target, JSON.stringify(answer));
