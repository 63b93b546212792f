/** Timestep embeddings and rotary ladders, computed in float64 on the CPU: WGSL allows large errors in sin and cos. */
import type { RotaryTables } from "@lvsa/core";
import type { Device, Tensor } from "@lvsa/runtime";
import { linearLayer } from "./layers.js";
import type { Parameters } from "./parameters.js";

/**
 * Sinusoidal timestep features, cosine half first (`flip_sin_to_cos`), without frequency shift.
 * Source: diffusers `get_timestep_embedding`. Returns `[timesteps.length, dim]`, row-major.
 */
export function timestepFeatures(timesteps: ArrayLike<number>, dim: number): Float32Array {
  const half = dim / 2;
  const out = new Float32Array(timesteps.length * dim);
  for (let row = 0; row < timesteps.length; row++) {
    for (let i = 0; i < half; i++) {
      // diffusers computes in float32, step by step; at timesteps around 1000 each rounding shows.
      const exponent = Math.fround(Math.fround(Math.fround(-Math.log(10_000)) * i) / half);
      const frequency = Math.fround(Math.exp(exponent));
      const angle = Math.fround(timesteps[row]! * frequency);
      out[row * dim + i] = Math.cos(angle);
      out[row * dim + half + i] = Math.sin(angle);
    }
  }
  return out;
}

/** `Timesteps`: `timestepFeatures` on the GPU, `[G, width]` f32. */
export function timesteps(device: Device, values: readonly number[], width: number): Tensor {
  return device.upload(timestepFeatures(values, width), [values.length, width]);
}

/** `TimestepEmbedding`: Linear, SiLU, Linear on `[G, width]` features. `[G, C]` f32. */
export function timestepEmbedding(features: Tensor, parameters: Parameters): Tensor {
  const hidden = linearLayer(parameters, "linear_1", features, { activation: "silu", outDtype: "f32" });
  return linearLayer(parameters, "linear_2", hidden, { outDtype: "f32" });
}

/** One axis of a rotary embedding: its positions and the number of channels it rotates. */
export interface RotaryAxis {
  /** Position of each index on this axis. */
  readonly positions: ArrayLike<number>;
  /** Angular frequency of each channel pair. */
  readonly frequencies: ArrayLike<number>;
}

/** `theta^(-2i/dim)` for the `dim / 2` pairs of an axis. */
export function rotaryFrequencies(dim: number, theta = 10_000): Float64Array {
  return Float64Array.from({ length: dim / 2 }, (_, i) => theta ** (-(2 * i) / dim));
}

/** Positions 0 … count−1. */
export function integerPositions(count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => i);
}

/** Tables `[tokens, pairs]` of the angles of a video's tokens. */
export interface RotaryGrid {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly tokens: number;
  readonly pairs: number;
}

/**
 * Angle tables `[t·h·w, pairs]` of a video grid: each token takes the pairs of the time axis, then height, then
 * width. Tokens run over frame, row, column.
 */
export function rotaryGrid(time: RotaryAxis, height: RotaryAxis, width: RotaryAxis): RotaryGrid {
  const axes = [time, height, width] as const;
  const [T, H, W] = axes.map((a) => a.positions.length) as [number, number, number];
  const pairs = axes.reduce((sum, a) => sum + a.frequencies.length, 0);
  const tables = axes.map(({ positions, frequencies }) => {
    const cos = new Float32Array(positions.length * frequencies.length);
    const sin = new Float32Array(cos.length);
    for (let p = 0; p < positions.length; p++) {
      for (let i = 0; i < frequencies.length; i++) {
        const angle = positions[p]! * frequencies[i]!;
        cos[p * frequencies.length + i] = Math.cos(angle);
        sin[p * frequencies.length + i] = Math.sin(angle);
      }
    }
    return { cos, sin, width: frequencies.length };
  });
  const out = { cos: new Float32Array(T * H * W * pairs), sin: new Float32Array(T * H * W * pairs) };
  let at = 0;
  for (let t = 0; t < T; t++) {
    for (let y = 0; y < H; y++) {
      for (let x = 0; x < W; x++) {
        [t, y, x].forEach((p, axis) => {
          const table = tables[axis]!;
          const from = p * table.width;
          out.cos.set(table.cos.subarray(from, from + table.width), at);
          out.sin.set(table.sin.subarray(from, from + table.width), at);
          at += table.width;
        });
      }
    }
  }
  return { ...out, tokens: T * H * W, pairs };
}

/** Uploads tables as pinned tensors; the caller disposes them. */
export function uploadRotary(device: Device, grid: RotaryGrid): RotaryTables & Disposable {
  const shape = [grid.tokens, grid.pairs];
  const cos = device.upload(grid.cos, shape, "f32", { pinned: true, label: "rotary cos" });
  const sin = device.upload(grid.sin, shape, "f32", { pinned: true, label: "rotary sin" });
  return {
    cos,
    sin,
    [Symbol.dispose]: () => {
      cos.dispose();
      sin.dispose();
    },
  };
}
