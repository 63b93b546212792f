/** How much of the saved work frame-sparse attention turns into saved time: measured against dense attention in one run. */
import { type Device, deviceLabel, type FloatDType, kernelSummary } from "@lvsa/runtime";
import { frameSparseAttention } from "../attention/frame-sparse-attention.js";
import { FrameSparseLayout } from "../attention/frame-sparse-layout.js";
import { attention } from "../attention/kernel/attention.js";
import { attentionFamily } from "../attention/kernel/attention.wgsl.js";
import { AttentionPattern } from "../pattern/attention-pattern.js";
import { type Candidate, type InterleavedOptions, timeInterleaved } from "./interleaved.js";

export interface AttentionBenchShape {
  /** Latent frames. */
  readonly frames: number;
  /** Tokens per frame. Below about 128, partial tiles and fixed costs weigh more than attention. */
  readonly patchesPerFrame: number;
  readonly heads: number;
  readonly headDim: number;
  readonly dtype: FloatDType;
}

export interface AttentionBenchOptions extends InterleavedOptions, Partial<AttentionBenchShape> {}

export interface AttentionBenchRow {
  /** Attended part of all query-key pairs, 0..1. */
  readonly attendedFraction: number;
  /** LVSA time / dense time, each the best of its turns. */
  readonly timeRatio: number;
  /** attendedFraction / timeRatio: 1 when time falls with the work. */
  readonly efficiency: number;
  readonly milliseconds: number;
  /** 4 * pairs * D * H floating-point operations over the time. */
  readonly gflops: number;
  readonly device: string;
  readonly shape: AttentionBenchShape;
}

export interface AttentionBench {
  readonly device: string;
  /** Kernels that ran, as `attention: tile-f16`. */
  readonly kernels: string;
  readonly shape: AttentionBenchShape;
  readonly dense: { readonly milliseconds: number; readonly gflops: number };
  readonly rows: readonly AttentionBenchRow[];
  readonly meanEfficiency: number;
}

/** Half window and keyframe interval as parts of the frame count: about 25, 38, 50, 63 and 80 % attended. */
const DENSITIES = [
  { window: 1 / 24, interval: 8 / 24 },
  { window: 2 / 24, interval: 6 / 24 },
  { window: 3 / 24, interval: 5 / 24 },
  { window: 4 / 24, interval: 4 / 24 },
  { window: 6 / 24, interval: 4 / 24 },
] as const;

/**
 * Sizes that take about a minute on a processor, and keep a GPU busy. 512 tokens are a frame of 512x256 pixels in Wan;
 * far smaller frames measure fixed costs and half-empty tiles instead.
 */
function defaultShape(device: Device): AttentionBenchShape {
  return device.info.hardware === "software"
    ? { frames: 24, patchesPerFrame: 512, heads: 1, headDim: 64, dtype: "f32" }
    : { frames: 24, patchesPerFrame: 520, heads: 12, headDim: 128, dtype: "f16" };
}

/**
 * Times dense and frame-sparse attention at five densities, taking turns, best of at least 5.
 * Reads nothing back: wall time until the device is idle. Frees all it makes.
 */
export async function benchAttention(
  device: Device,
  options: AttentionBenchOptions = {},
): Promise<AttentionBench> {
  const defaults = defaultShape(device);
  const shape: AttentionBenchShape = {
    frames: options.frames ?? defaults.frames,
    patchesPerFrame: options.patchesPerFrame ?? defaults.patchesPerFrame,
    heads: options.heads ?? defaults.heads,
    headDim: options.headDim ?? defaults.headDim,
    dtype: options.dtype ?? defaults.dtype,
  };
  const tokens = shape.frames * shape.patchesPerFrame;
  const size = [1, tokens, shape.heads, shape.headDim];
  const [query, key, value] = [1, 2, 3].map((seed) =>
    device.upload(noise(tokens * shape.heads * shape.headDim, seed), size, shape.dtype),
  ) as [never, never, never];
  const patterns = DENSITIES.map(({ window, interval }) =>
    AttentionPattern.build({
      frames: shape.frames,
      patchesPerFrame: shape.patchesPerFrame,
      window: Math.max(1, Math.round(window * shape.frames)),
      nFirstFrames: 1,
      keyframeInterval: Math.max(1, Math.round(interval * shape.frames)),
    }),
  );
  const layouts = patterns.map(() => new FrameSparseLayout(device));
  try {
    const candidates: Candidate[] = [
      { name: "dense", run: () => attention(device, { query, key, value }).output.dispose() },
      ...patterns.map((pattern, i) => ({
        name: `lvsa ${pattern.density.toFixed(3)}`,
        run: () =>
          frameSparseAttention(device, { query, key, value, pattern, layout: layouts[i]! }).output.dispose(),
      })),
    ];
    const [dense, ...sparse] = await timeInterleaved(device, candidates, options);
    const flops = (fraction: number) => 4 * fraction * tokens * tokens * shape.headDim * shape.heads;
    const gflops = (fraction: number, milliseconds: number) => flops(fraction) / milliseconds / 1e6;
    const label = deviceLabel(device.info);
    const rows = sparse.map(({ milliseconds }, i) => {
      const attendedFraction = patterns[i]!.density;
      const timeRatio = milliseconds / dense!.milliseconds;
      return {
        attendedFraction,
        timeRatio,
        efficiency: attendedFraction / timeRatio,
        milliseconds,
        gflops: gflops(attendedFraction, milliseconds),
        device: label,
        shape,
      };
    });
    return {
      device: label,
      kernels: kernelSummary(device.kernelUses().filter(({ family }) => family === attentionFamily.name)),
      shape,
      dense: { milliseconds: dense!.milliseconds, gflops: gflops(1, dense!.milliseconds) },
      rows,
      meanEfficiency: rows.reduce((sum, row) => sum + row.efficiency, 0) / rows.length,
    };
  } finally {
    for (const owned of [query, key, value, ...layouts] as { dispose(): void }[]) owned.dispose();
  }
}

/** Numbers in [-1, 1] that are neither constant nor regular; what they are does not matter for time. */
function noise(count: number, seed: number): Float32Array {
  const out = new Float32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state / 2147483648 - 1;
  }
  return out;
}
