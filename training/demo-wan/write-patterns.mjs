// Patterns and prompts for horizon.py: node write-patterns.mjs patterns.json [prompts] [all | best]
// Each entry is one way to run one length; its masks are those of `@lvsa/core`, so that there is no second implementation to be wrong.
import { writeFileSync } from "node:fs";
import {
  clipPatterns,
  identifyIntrinsicFrequency,
  riflexFrequencies,
  scheduledAttention,
} from "../../packages/core/dist/index.js";
import { captionOf, sampleScenes } from "../../packages/quality/dist/shapes.js";

const [file, prompts = "128", part = "all"] = process.argv.slice(2);
const TRAINED = 5;
const TEMPORAL = 4;
const STEPS = 20;
const TEMPORAL_DIM = 12;

const lvsa = (window, first, more = {}) => ({
  windowSize: TEMPORAL * window,
  nFirstFrames: TEMPORAL * first,
  ...more,
});
const fixed = { autoKeyframes: true, rotateKeyframes: false };
const interval = (frames) => ({
  keyFrameInterval: TEMPORAL * frames,
  rotateKeyframes: true,
  rotateGivenInterval: true,
});

/** Without `config`: dense. `riflex` slows the frequency of that index, -1 the one nearest the training length. */
const METHODS = [
  { name: "dense" },
  { name: "lvsa-rotating", config: lvsa(1, 1) },
  { name: "lvsa-fixed", config: lvsa(1, 1, fixed) },
  { name: "dense-riflex", riflex: -1 },
  { name: "lvsa-riflex", config: lvsa(1, 1), riflex: -1 },
];
const SWEEP = [
  ...[1, 2, 3, 4].flatMap((w) =>
    [0, 1, 2].map((f) => ({ name: `rotating w${w} f${f}`, config: lvsa(w, f) })),
  ),
  ...[0.5, 1.5, 2, 3].flatMap((s) =>
    [1, 2].map((w) => ({ name: `rotating w${w} f1 scale ${s}`, config: lvsa(w, 1, { sparsityScale: s }) })),
  ),
  ...[2, 4].flatMap((w) =>
    [0, 1].map((f) => ({ name: `window only w${w} f${f}`, config: lvsa(w, f, { keyFrameInterval: 0 }) })),
  ),
  ...[2, 3, 5].flatMap((i) =>
    [1, 2].map((w) => ({ name: `rotating every ${i} w${w} f1`, config: lvsa(w, 1, interval(i)) })),
  ),
  ...[2, 3].map((w) => ({ name: `fixed w${w} f1`, config: lvsa(w, 1, fixed) })),
  ...[2, 5, 10].map((n) => ({
    name: `rotating w1 f1, dense first ${n}`,
    config: lvsa(1, 1, { schedule: [{ steps: [0, n - 1], attention: "dense" }] }),
  })),
  {
    name: "rotating w1 f1, dense last 10",
    config: lvsa(1, 1, { schedule: [{ steps: [STEPS - 10, STEPS - 1], attention: "dense" }] }),
  },
  ...[0.25, 0.5, 2].map((speed) => ({ name: `rotating w1 f1, speed ${speed}`, config: lvsa(1, 1), speed })),
  ...[1, 2].flatMap((k) => [
    { name: `dense, riflex k${k}`, riflex: k },
    { name: `rotating w1 f1, riflex k${k}`, config: lvsa(1, 1), riflex: k },
  ]),
];

/** What the sweep found best, with all prompts, and round it. */
const BEST = [
  { name: "rotating w2 f0", config: lvsa(2, 0) },
  { name: "rotating w2 f0, speed 3", config: lvsa(2, 0), speed: 3 },
  { name: "rotating w2 f0, speed 7", config: lvsa(2, 0), speed: 7 },
  { name: "window only w2 f0", config: lvsa(2, 0, { keyFrameInterval: 0 }) },
  { name: "rotating w2 f0, speed 2", config: lvsa(2, 0), speed: 2 },
  ...[1, 3, 7].map((speed) => ({ name: `rotating w1 f0, speed ${speed}`, config: lvsa(1, 0), speed })),
  ...[2, 3, 7].map((speed) => ({ name: `rotating w1 f1, speed ${speed}`, config: lvsa(1, 1), speed })),
  ...[1, 3].map((speed) => ({ name: `rotating w3 f0, speed ${speed}`, config: lvsa(3, 0), speed })),
  { name: "rotating w2 f0 scale 1.5", config: lvsa(2, 0, { sparsityScale: 1.5 }) },
  {
    name: "rotating w2 f0, dense last 3",
    config: lvsa(2, 0, { schedule: [{ steps: [STEPS - 3, STEPS - 1], attention: "dense" }] }),
  },
  {
    name: "rotating w2 f0, dense first 2",
    config: lvsa(2, 0, { schedule: [{ steps: [0, 1], attention: "dense" }] }),
  },
  ...[2, 4, 5].map((guidance) => ({
    name: `rotating w2 f0, guidance ${guidance}`,
    config: lvsa(2, 0),
    guidance,
  })),
];

function entry({ name, config, riflex, speed = 1, guidance = 3 }, factor, count) {
  const frames = TRAINED * factor;
  const row = (indices) => Array.from({ length: frames }, (_, k) => (indices.has(k) ? "1" : "0")).join("");
  let masks = [];
  let steps = [];
  let density = 1;
  if (config && factor > 1) {
    const clip = {
      latentFrames: frames,
      patchesPerFrame: 16,
      referenceLatentFrames: TRAINED,
      temporalFactor: TEMPORAL,
    };
    const patterns = clipPatterns(config, clip);
    const offsets = Array.from({ length: patterns.offsets }, (_, step) => patterns.patternOfStep(step));
    density = offsets[0].density;
    masks = offsets.map((p) =>
      Array.from({ length: frames }, (_, r) =>
        row(new Set(p.indices.subarray(p.indptr[r], p.indptr[r + 1]))),
      ),
    );
    steps = Array.from({ length: STEPS }, (_, step) =>
      scheduledAttention(config.schedule ?? [], step) === "dense"
        ? -1
        : Math.floor(step * speed) % patterns.offsets,
    );
  }
  const k = riflex === -1 ? identifyIntrinsicFrequency(TEMPORAL_DIM, TRAINED) : riflex;
  const frequencies =
    k === undefined || factor === 1
      ? null
      : [...riflexFrequencies({ temporalDim: TEMPORAL_DIM, k, scale: factor, trainingLength: TRAINED })];
  return {
    name,
    factor,
    config: config ?? null,
    riflex: k ?? null,
    speed,
    guidance,
    prompts: count,
    frames,
    density,
    masks,
    steps,
    frequencies,
  };
}

const all = Number(prompts);
// The sweep only ranks: half of the prompts.
// The sweep only ranks: half of the prompts.
const everything = () => [
  entry(METHODS[0], 1, all),
  ...[4, 2, 6].flatMap((factor) => METHODS.map((method) => entry(method, factor, all))),
  ...SWEEP.map((setting) => entry(setting, 4, all >> 1)),
];
const bestOnes = () => [
  ...BEST.map((setting) => entry(setting, 4, all)),
  ...[2, 6].flatMap((factor) => BEST.slice(0, 4).map((setting) => entry(setting, factor, all))),
];
const entries = part === "best" ? bestOnes() : everything();
const scenes = sampleScenes(all, 32, { heldOut: true });
const texts = scenes.map((scene, i) => captionOf(scene, i));
writeFileSync(file, JSON.stringify({ prompts: texts, entries }));
console.log(`${entries.length} ways, ${texts.length} prompts`);
