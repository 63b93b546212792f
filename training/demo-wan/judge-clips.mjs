// Reads clips that horizon.py left: node judge-clips.mjs clips.json results.jsonl
// clips.json: { facts, prompts, frames, file }, the file holding RGB bytes [prompts, frames, 64, 64, 3]. One line is appended.
import { appendFileSync, readFileSync } from "node:fs";
import { judgeClip } from "../../packages/quality/dist/compare.js";
import { clipOf, scoreClip, sliceClip } from "../../packages/quality/dist/index.js";
import { readCaption } from "../../packages/quality/dist/shapes.js";

const [job, results] = process.argv.slice(2);
const { facts, prompts, frames, file } = JSON.parse(readFileSync(job, "utf8"));
const TRAINED = 17;
const AREA = 64 * 64 * 3;
const bytes = readFileSync(file);
if (bytes.length !== prompts.length * frames * AREA) throw new Error(`${file} has ${bytes.length} bytes`);

// As `lvsa compare` cuts them.
function windowsOf(clip) {
  const count = Math.max(1, Math.round(clip.count / TRAINED));
  return Array.from({ length: count }, (_, i) => {
    const from = count === 1 ? 0 : Math.round((i * (clip.count - TRAINED)) / (count - 1));
    return sliceClip(clip, from, from + TRAINED);
  });
}

const round = (value) => (typeof value === "number" ? Number(value.toFixed(4)) : (value ?? null));
const clips = prompts.map((prompt, i) => {
  const at = (t) => (i * frames + t) * AREA;
  const clip = clipOf(
    Array.from({ length: frames }, (_, t) => bytes.subarray(at(t), at(t + 1))),
    64,
    64,
  );
  const { right, total, drift, lateSpeed, rightWay, massKept, severalObjects } = judgeClip(
    windowsOf(clip),
    readCaption(prompt),
  );
  const score = scoreClip(clip);
  const {
    motionMean,
    temporalConsistency,
    flicker,
    jump,
    sharpnessRatio,
    colorDrift,
    backgroundDrift,
    identity,
  } = score;
  const values = { total, ...right, drift, lateSpeed, rightWay, massKept, severalObjects };
  const metrics = {
    motionMean,
    temporalConsistency,
    flicker,
    jump,
    sharpnessRatio,
    colorDrift,
    backgroundDrift,
    identity: identity.firstToLast,
  };
  return Object.fromEntries(
    Object.entries({ ...values, ...metrics }).map(([name, value]) => [name, round(value)]),
  );
});
appendFileSync(results, `${JSON.stringify({ ...facts, clips })}\n`);
const mean = (name) => clips.reduce((sum, one) => sum + (one[name] ?? 0), 0) / clips.length;
const percent = (name) => (100 * mean(name)).toFixed(1);
console.log(
  `${facts.factor}x ${facts.name}: follows ${percent("total")}, shape ${percent("shape")}, motion ${percent("motion")}, moves ${mean("motionMean").toFixed(3)}, drift ${percent("drift")}`,
);
