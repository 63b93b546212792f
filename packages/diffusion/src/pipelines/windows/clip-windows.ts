/**
 * Overlapping windows over the latent frames of one clip: which frames each has, and how predictions of all become one.
 * Source: FlowLong (arXiv 2605.20910): windows of the training length over one global latent, whose predicted clean
 * latents are blended linearly where windows overlap. What a model predicts is linear in the clean latents for given
 * noisy ones, so that blending predictions with weights that add up to 1 is the same, and leaves the scheduler as it is.
 */
import type { HostTensor } from "../host-tensor.js";

/** In latent frames, of the clip. */
export interface ClipWindow {
  readonly index: number;
  readonly start: number;
  readonly frames: number;
}

export interface ClipWindowsOptions {
  /** Latent frames of the clip. */
  readonly frames: number;
  /** Latent frames of a window, at most `frames`. */
  readonly windowFrames: number;
  /** Latent frames that neighbours share, less than `windowFrames`. The last window may share more. */
  readonly overlap: number;
}

export class ClipWindows {
  readonly windows: readonly ClipWindow[];
  readonly overlap: number;
  /** For each window one weight per frame of it; at every frame of the clip the weights of all windows add up to 1. */
  readonly weights: readonly (readonly number[])[];

  constructor({ frames, windowFrames, overlap }: ClipWindowsOptions) {
    const stride = windowFrames - overlap;
    const count = Math.max(1, Math.ceil((frames - windowFrames) / stride) + 1);
    // The last one ends with the clip.
    this.windows = Array.from({ length: count }, (_, index) => ({
      ...{ index, frames: windowFrames },
      start: Math.min(index * stride, frames - windowFrames),
    }));
    this.overlap = overlap;
    this.weights = blendWeights(this.windows, frames, overlap);
  }
}

/** Number of windows, without their weights. */
export function windowCount({ frames, windowFrames, overlap }: ClipWindowsOptions): number {
  return Math.max(1, Math.ceil((frames - windowFrames) / (windowFrames - overlap)) + 1);
}

/** Each window rises and falls linearly over the overlap, then all are divided by their sum. */
function blendWeights(windows: readonly ClipWindow[], frames: number, overlap: number): number[][] {
  const raw = windows.map(({ index, frames: length }) =>
    Array.from({ length }, (_, frame) => {
      const rise = index === 0 ? 1 : (frame + 1) / (overlap + 1);
      const fall = index === windows.length - 1 ? 1 : (length - frame) / (overlap + 1);
      return Math.min(1, rise, fall);
    }),
  );
  const sums = new Array<number>(frames).fill(0);
  for (const { index, start } of windows) {
    for (const [frame, weight] of raw[index]!.entries()) sums[start + frame]! += weight;
  }
  return windows.map(({ index, start }) => raw[index]!.map((weight, frame) => weight / sums[start + frame]!));
}

/** The frames of a window out of the clip's latents. @param axis of the frames */
export function windowOf(
  { data, shape }: HostTensor,
  axis: number,
  { start, frames }: ClipWindow,
): HostTensor {
  const { outer, total, inner } = strides(shape, axis);
  const out = new Float32Array(outer * frames * inner);
  for (let i = 0; i < outer; i++) {
    const from = (i * total + start) * inner;
    out.set(data.subarray(from, from + frames * inner), i * frames * inner);
  }
  return { data: out, shape: shape.map((size, i) => (i === axis ? frames : size)) };
}

/** Adds a window's prediction, times its weights, to that of the clip. */
export function addWindow(
  clip: HostTensor,
  axis: number,
  { start, frames }: ClipWindow,
  weights: readonly number[],
  prediction: Float32Array,
): void {
  const { outer, total, inner } = strides(clip.shape, axis);
  for (let i = 0; i < outer; i++) {
    for (let frame = 0; frame < frames; frame++) {
      const weight = weights[frame]!;
      const to = (i * total + start + frame) * inner;
      const from = (i * frames + frame) * inner;
      // What one window alone says stays as it is, to the sign of a zero.
      if (weight === 1) clip.data.set(prediction.subarray(from, from + inner), to);
      else for (let k = 0; k < inner; k++) clip.data[to + k]! += weight * prediction[from + k]!;
    }
  }
}

function strides(shape: readonly number[], axis: number): { outer: number; total: number; inner: number } {
  const size = (from: number, to?: number) => shape.slice(from, to).reduce((product, n) => product * n, 1);
  return { outer: size(0, axis), total: shape[axis]!, inner: size(axis + 1) };
}
