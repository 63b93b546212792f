/** Every number of the classical suite equals the one that OpenCV, scikit-image and NumPy gave. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  goldenJson,
  maxAbsolute,
  readSafetensors,
  referenceDirectory,
  requireCases,
} from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { clipOf } from "./clip.js";
import { banding, noiseAnomaly, tiling } from "./metrics/artifacts.js";
import { flickeringScore, measureRepetition } from "./metrics/embeddings.js";
import { luma, lumaFrames } from "./metrics/luma.js";
import { laplacian } from "./metrics/sharpness.js";
import { consecutiveCosines, signature } from "./metrics/signature.js";
import { psnr, ssim } from "./metrics/similarity.js";
import { type ClipScore, scoreClip } from "./score.js";
import { mean } from "./statistics.js";

/** As written by the reference, with ten digits. */
interface Golden {
  readonly [name: string]: number | null | readonly unknown[];
  readonly block_motion: readonly Readonly<Record<string, number | readonly number[]>>[];
  readonly block_vectors_0_5_10: readonly (readonly (readonly [number, number])[])[];
}
interface Pair {
  readonly psnr: readonly (number | null)[];
  readonly ssim: readonly number[];
}

const goldens = goldenJson<{ clips: Record<string, Golden>; pairs: Record<string, Pair> }>(
  "quality/classical.json",
);
/** What vqeval gives without networks. */
interface Vqeval {
  readonly traces: { readonly consecutive_similarity: number[] };
  readonly temporal_parts: { readonly flickering_score: number; readonly subject_consistency: number };
  readonly per_frame: {
    readonly banding: number[];
    readonly tiling: (number | null)[];
    readonly noise: number[];
  };
  readonly loop_parts: {
    readonly cycle: readonly [
      number,
      number,
      { readonly offdiag_mean: number; readonly offdiag_std: number },
    ];
    readonly duplicates: readonly [number, number];
    readonly autocorrelation: readonly [number, number];
  };
}
const vqeval = goldenJson<Record<string, Vqeval>>("quality/vqeval.json");
const path = join(referenceDirectory(), "quality/clips.safetensors");
const tensors = existsSync(path) ? await readSafetensors(path) : {};
const names = Object.keys(tensors)
  .filter((name) => name.startsWith("clip."))
  .map((name) => name.slice("clip.".length));
requireCases(names, "clips of known quality");

function clip(name: string) {
  const { data, shape } = tensors[`clip.${name}`]!;
  const [count, height, width] = shape as [number, number, number];
  const bytes = height * width * 3;
  const all = data as Uint8Array;
  return clipOf(
    Array.from({ length: count }, (_, t) => all.subarray(t * bytes, (t + 1) * bytes)),
    width,
    height,
  );
}

/** Ten written digits, and sums in another order. */
function expectClose(actual: unknown, expected: unknown, where: string): void {
  if (Array.isArray(expected)) {
    expect(actual, where).toHaveLength(expected.length);
    expected.forEach((value, i) => {
      expectClose((actual as unknown[])[i], value, `${where}[${i}]`);
    });
    return;
  }
  if (typeof expected !== "number") {
    expect(actual, where).toBe(expected);
    return;
  }
  const difference = Math.abs((actual as number) - expected);
  expect(difference, `${where}: ${String(actual)}, expected ${expected}`).toBeLessThanOrEqual(
    1e-6 * Math.abs(expected) + 1e-9,
  );
}

const fields: Readonly<Record<string, (score: ClipScore) => unknown>> = {
  frame_difference: (s) => s.frameDifference,
  temporal_consistency: (s) => s.temporalConsistency,
  freeze_ratio: (s) => s.freezeRatio,
  motion_retention: (s) => s.motionRetention,
  jump: (s) => s.jump,
  mean_luma: (s) => s.meanLuma,
  flicker: (s) => s.flicker,
  sharpness: (s) => s.sharpness,
  sharpness_ratio: (s) => s.sharpnessRatio,
  loop_lag_distance: (s) => s.lagDistance,
  loop_recurrence: (s) => s.recurrence,
  loop_index: (s) => s.loopIndex,
  colour_drift: (s) => s.colorDrift,
  background_drift: (s) => s.backgroundDrift,
  motion_mean: (s) => s.motionMean,
  residual_mean: (s) => s.residualMean,
};

describe.each(names)("the clip %s", (name) => {
  const score = scoreClip(clip(name));
  const golden = goldens!.clips[name]!;

  it.each(Object.keys(fields))("has the reference's %s", (field) => {
    expect(golden[field], `the reference has no ${field}`).toBeDefined();
    expectClose(fields[field]!(score), golden[field], field);
  });

  it("has its loop period, unless two lags tie", () => {
    const best = Math.max(...score.recurrence.slice(1, Math.floor((2 * score.frames) / 3)));
    const ties = score.recurrence.filter((value) => Math.abs(value - best) < 1e-9).length;
    if (ties < 2) expect(score.loopPeriod).toBe(golden.loop_period);
    else expect(score.recurrence[Number(golden.loop_period) - 1] ?? 0).toBeCloseTo(score.loopIndex, 9);
  });

  it("has its motion, and three pairs block by block", () => {
    score.motion.forEach((pair, t) => {
      const { mean_magnitude, moving_fraction, residual, change, mean_vector } = golden.block_motion[t]!;
      const where = `pair ${t}`;
      expectClose(pair.meanMagnitude, mean_magnitude, where);
      expectClose(pair.movingFraction, moving_fraction, where);
      expectClose(pair.residual, residual, where);
      expectClose(pair.change, change, where);
      expectClose([...pair.meanVector], mean_vector, where);
    });
    [0, 5, 10].forEach((t, i) => {
      expect(score.motion[t]!.vectors).toEqual(golden.block_vectors_0_5_10[i]);
    });
  });

  it("differs from its neighbours and from its first frame as much as there", () => {
    const frames = clip(name);
    const { width, height, count } = frames;
    const gray = lumaFrames(frames);
    const each = Array.from({ length: count }, (_, t) => t);
    const next = each.slice(1);
    expectClose(
      each.map((t) => psnr(frames.get(0), frames.get(t))),
      golden.psnr_to_first,
      "psnr_to_first",
    );
    expectClose(
      next.map((t) => psnr(frames.get(t - 1), frames.get(t))),
      golden.psnr_next,
      "psnr_next",
    );
    expectClose(
      each.map((t) => ssim(gray[0]!, gray[t]!, width, height)),
      golden.ssim_to_first,
      "ssim_to_first",
    );
    expectClose(
      next.map((t) => ssim(gray[t - 1]!, gray[t]!, width, height)),
      golden.ssim_next,
      "ssim_next",
    );
  });

  it("has its signatures", () => {
    const expected = tensors[`embedding.${name}`];
    if (!expected) return expect(name, "no embedding").toBe("present");
    const frames = clip(name);
    const all = Array.from({ length: frames.count }, (_, t) => [
      ...signature(frames.get(t), frames.width, frames.height),
    ]).flat();
    // Stored as f32.
    expect(maxAbsolute(all, expected.data)).toBeLessThanOrEqual(1e-6);
    const similar = vqeval![name]!.traces.consecutive_similarity;
    expect(Math.abs(score.identity.consecutive - mean(similar))).toBeLessThanOrEqual(1e-5);
  });
});

/** Within so much, or undefined where both have no number. */
function expectNear(actual: number, expected: number | null, tolerance: number, where: string): void {
  expect(Math.abs(actual - expected!), `${where}: ${actual}, expected ${expected}`).toBeLessThanOrEqual(
    tolerance,
  );
}

describe.each(names)("vqeval's numbers of %s", (name) => {
  const golden = vqeval![name]!;
  const frames = clip(name);
  const { width, height } = frames;
  const gray = lumaFrames(frames).filter((_, t) => t % 2 === 0);

  it("artefacts of single frames", () => {
    const { per_frame } = golden;
    gray.forEach((frame, i) => {
      expectNear(banding(frame, width, height), per_frame.banding[i]!, 1e-6, `banding ${i}`);
      expectNear(noiseAnomaly(frame, width, height), per_frame.noise[i]!, 1e-4, `noise ${i}`);
      // A frame of one colour has no autocorrelation there; here it does not repeat.
      expectNear(tiling(frame, width, height), per_frame.tiling[i] ?? 0, 1e-4, `tiling ${i}`);
    });
  });

  it("likeness, cycles and repeats of embeddings", () => {
    const stored = tensors[`embedding.${name}`]!.data as Float32Array;
    const all = Array.from({ length: 20 }, (_, t) =>
      Float64Array.from(stored.subarray(t * 192, (t + 1) * 192)),
    );
    const { temporal_parts, loop_parts } = golden;
    const found = measureRepetition(all)!;
    expectNear(flickeringScore(consecutiveCosines(all)), temporal_parts.flickering_score, 1e-3, "flickering");
    expectNear(mean(consecutiveCosines(all)), temporal_parts.subject_consistency, 1e-5, "consistency");
    const [cycle, period, { offdiag_mean, offdiag_std }] = loop_parts.cycle;
    expectNear(found.meanLikeness, offdiag_mean, 1e-5, "mean likeness");
    expectNear(found.likenessSpread, offdiag_std, 1e-5, "likeness spread");
    // Rounding noise divided by rounding noise there.
    if (name !== "frozen") expectNear(found.cycle, cycle, 1e-5, "cycle");
    // Several lags tie exactly in these: the first of them is taken here.
    if (!["frozen", "loop5", "flicker", "flat"].includes(name)) expect(found.cyclePeriod).toBe(period);
    expectNear(found.duplicates, loop_parts.duplicates[0], 1e-5, "duplicates");
    expect(found.longestRepeat).toBe(loop_parts.duplicates[1]);
    expect(found.autocorrelationLag).toBe(loop_parts.autocorrelation[0]);
    expectNear(found.autocorrelation, loop_parts.autocorrelation[1], 1e-5, "autocorrelation");
  });
});

describe("pairs of clips", () => {
  const pairs = Object.entries(goldens?.pairs ?? {}).filter(([pair]) =>
    pair.split("|").every((name) => names.includes(name)),
  );
  requireCases(pairs, "pairs of clips");
  it.each(pairs)("%s", (pair, expected) => {
    const [a, b] = pair.split("|").map(clip) as [ReturnType<typeof clip>, ReturnType<typeof clip>];
    const each = Array.from({ length: a.count }, (_, t) => t);
    expectClose(
      each.map((t) => psnr(a.get(t), b.get(t))),
      expected.psnr,
      "psnr",
    );
    expectClose(
      each.map((t) => ssim(luma(a.get(t)), luma(b.get(t)), a.width, a.height)),
      expected.ssim,
      "ssim",
    );
  });
});

it("luma and Laplacian are OpenCV's", () => {
  const frames = clip("moving");
  const gray = luma(frames.get(3));
  expect(gray).toEqual(tensors["gray.moving.3"]!.data);
  expect(Float32Array.from(laplacian(gray, frames.width, frames.height))).toEqual(
    tensors["laplacian.moving.3"]!.data,
  );
});
