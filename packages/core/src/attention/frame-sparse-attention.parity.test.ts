/**
 * Frame-sparse attention against the Python original and against float64 from the definition, on every case that
 * the reference folder holds: `attention/case.json` names them, and `wan21-lvsa` has one on two ranks.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Device, type FloatDType, slice, type Tensor } from "@lvsa/runtime";
import {
  floatTensor,
  type GoldenTensors,
  maxAbsolute,
  readJson,
  readSafetensors,
  referenceDirectory,
  relativeL2,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LocalCollective } from "../parallel/collective.js";
import { contextParallelAttention } from "../parallel/context-parallel-attention.js";
import { AttentionPattern } from "../pattern/attention-pattern.js";
import { frameSparseAttention } from "./frame-sparse-attention.js";
import { attention } from "./kernel/attention.js";

interface Case {
  readonly name: string;
  readonly file: string;
  readonly T: number;
  readonly P: number;
  readonly W: number;
  readonly n_first: number;
  readonly kfi: number | null;
  readonly offset: number;
  readonly expand: boolean;
  readonly world: number;
  readonly input_dtype: FloatDType;
  readonly scale: number;
  readonly global_indices: readonly number[];
  readonly window_bounds: readonly (readonly [number, number])[];
  readonly boundary_guards: readonly number[];
  /** How far the original's own f32 lies from float64: large where logits are. */
  readonly original_f32_max_abs_error: number;
}

const folder = join(referenceDirectory(), "attention");
const cases = existsSync(folder) ? readJson<{ cases: Case[] }>(join(folder, "case.json")).cases : [];
const lvsa = join(referenceDirectory(), "wan", "wan21-lvsa");
if (cases.length === 0) console.warn(`skipped: no attention cases in ${folder}`);

// Inputs are on the grid of their stored type, so storage adds no error: f32 rounding of short sums remains.
const RELATIVE = 1e-5;

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const patternOf = (c: Case, rank = 0, worldSize = 1) =>
  AttentionPattern.build({
    frames: c.T,
    patchesPerFrame: c.P,
    window: c.W,
    nFirstFrames: c.n_first,
    keyframeInterval: c.kfi,
    rotationOffset: c.offset,
    expandWindow: c.expand,
    worldSize,
    rank,
  });

/** A rank's rows of the token axis. */
function shard(t: Tensor, pattern: AttentionPattern): Tensor {
  return slice(device, t, 1, pattern.firstToken, pattern.firstToken + pattern.localTokens);
}

/** Output and log-sum-exp of all ranks in token order. */
async function onRanks(
  worldSize: number,
  build: (rank: number) => AttentionPattern,
  t: Inputs,
  scale: number,
) {
  const parts = await LocalCollective.run(worldSize, async (collective) => {
    const pattern = build(collective.rank);
    const { output, logSumExp } = await contextParallelAttention(device, collective, {
      ...t.text,
      query: shard(t.query, pattern),
      key: shard(t.key, pattern),
      value: shard(t.value, pattern),
      pattern,
      scale,
      returnLogSumExp: true,
    });
    return { output: await device.read(output), lse: await device.read(logSumExp!) };
  });
  // Ranks follow each other on the token axis, inside of each item of the batch.
  const batch = t.query.dim(0);
  const joined = (all: readonly Float32Array[]) =>
    Array.from({ length: batch }, (_, item) =>
      all.map((part) => [...part.subarray((item * part.length) / batch, ((item + 1) * part.length) / batch)]),
    ).flat(2);
  return { output: joined(parts.map((p) => p.output)), lse: joined(parts.map((p) => p.lse)) };
}

/** `context_parallel` of a case's `patterns.json`. */
interface RankPattern {
  readonly total_latent_frames: number;
  readonly num_patches: number;
  readonly window_size: number;
  readonly n_first_frames: number;
  readonly key_frame_interval: number | null;
  readonly expand_window: boolean;
  readonly rank: number;
  readonly world: number;
  readonly offset: number;
  readonly global_indices: readonly number[];
}

interface Inputs {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  readonly text: { readonly contextKey?: Tensor; readonly contextValue?: Tensor };
}

function upload(golden: GoldenTensors, dtype: FloatDType): Inputs {
  const tensor = (name: string) => {
    const { data, shape } = floatTensor(golden, name);
    return device.upload(data, shape, dtype);
  };
  const text = golden.text_k ? { contextKey: tensor("text_k"), contextValue: tensor("text_v") } : {};
  return { query: tensor("q"), key: tensor("k"), value: tensor("v"), text };
}

describe.each(cases)("$name", (c) => {
  // Large logits: the original's own error in f32 shows what rounding of the scores costs.
  const absolute = Math.max(1e-5, 4 * c.original_f32_max_abs_error);

  test("the pattern has the frames of the original", () => {
    const pattern = patternOf(c, 0, c.world);
    expect(pattern.globalFrames).toEqual(c.global_indices);
    expect(pattern.boundaryGuards).toEqual(c.boundary_guards);
    const bounds = c.window_bounds.map((_, f) => pattern.windowBounds(f)).map(({ lo, hi }) => [lo, hi]);
    expect(bounds).toEqual(c.window_bounds);
  });

  test("output and log-sum-exp", async () => {
    const golden = await readSafetensors(join(folder, c.file));
    const t = upload(golden, c.input_dtype);
    const exact = golden.ref_sparse_f64!.float64!;
    const lse = golden.lse_sparse_f64!.float64!;
    let got: { output: ArrayLike<number>; lse: ArrayLike<number> };
    if (c.world > 1) {
      got = await onRanks(c.world, (rank) => patternOf(c, rank, c.world), t, c.scale);
    } else {
      const out = device.empty(t.query.shape, "f32");
      const input = { ...t, ...t.text, pattern: patternOf(c), scale: c.scale, returnLogSumExp: true, out };
      const { output, logSumExp } = frameSparseAttention(device, input);
      got = { output: await device.read(output), lse: await device.read(logSumExp!) };
    }
    if (c.world === 1 || c.input_dtype === "f32") {
      expect(relativeL2(got.output, exact)).toBeLessThan(RELATIVE);
      expect(maxAbsolute(got.output, exact)).toBeLessThan(absolute);
      expect(relativeL2(got.output, floatTensor(golden, "out_sparse_f32").data)).toBeLessThan(RELATIVE);
      expect(relativeL2(got.lse, lse)).toBeLessThan(RELATIVE);
    } else {
      // Ranks write the query's type: half an ulp of it, relative.
      expect(relativeL2(got.output, exact)).toBeLessThan(c.input_dtype === "f16" ? 2e-3 : 8e-3);
    }
  });

  test("dense attention", async () => {
    const golden = await readSafetensors(join(folder, c.file));
    const { query, key, value, text } = upload(golden, c.input_dtype);
    const { output, logSumExp } = attention(device, {
      query,
      key,
      value,
      ...text,
      scale: c.scale,
      outDtype: "f32",
      returnLogSumExp: true,
    });
    expect(relativeL2(await device.read(output), floatTensor(golden, "dense_f32").data)).toBeLessThan(
      RELATIVE,
    );
    expect(relativeL2(await device.read(logSumExp!), golden.lse_dense_f64!.float64!)).toBeLessThan(RELATIVE);
  });
});

test.skipIf(!existsSync(lvsa))("wan21-lvsa: outputs of rank 0 and rank 1", async () => {
  const golden = await readSafetensors(join(lvsa, "expected.safetensors"));
  const tensor = (name: string) => {
    const { data, shape } = floatTensor(golden, name);
    return device.upload(data, shape);
  };
  const query = tensor("cp.q");
  const t: Inputs = { query, key: tensor("cp.k"), value: tensor("cp.v"), text: {} };
  const ranks = Object.keys(golden).filter((name) => /^cp\.rank\d+\.out$/.test(name)).length;
  const { context_parallel } = readJson<{ context_parallel: readonly RankPattern[] }>(
    join(lvsa, "patterns.json"),
  );
  // The outputs are those of the first step.
  const patterns = Array.from(
    { length: ranks },
    (_, rank) => context_parallel.find((p) => p.world === ranks && p.rank === rank && p.offset === 0)!,
  );
  const build = (rank: number) => {
    const p = patterns[rank]!;
    return AttentionPattern.build({
      frames: p.total_latent_frames,
      patchesPerFrame: p.num_patches,
      window: p.window_size,
      nFirstFrames: p.n_first_frames,
      keyframeInterval: p.key_frame_interval,
      expandWindow: p.expand_window,
      worldSize: ranks,
      rank,
    });
  };
  for (const [rank, { global_indices }] of patterns.entries())
    expect(build(rank).globalFrames).toEqual(global_indices);
  const { output } = await onRanks(ranks, build, t, 1 / Math.sqrt(query.dim(3)));
  const want = Array.from({ length: ranks }, (_, r) => [
    ...floatTensor(golden, `cp.rank${r}.out`).data,
  ]).flat();
  expect(ranks).toBeGreaterThan(1);
  expect(relativeL2(output, want)).toBeLessThan(RELATIVE);
});
