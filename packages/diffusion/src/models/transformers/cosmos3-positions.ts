/**
 * Rotary positions of Cosmos 3: three axes whose frequencies are interleaved, with text before the video and a wide
 * gap between them on the time axis. Sources: diffusers `Cosmos3VLTextRotaryEmbedding`, `get_3d_mrope_ids_vae_tokens`.
 *
 * Positions reach 15000 and more, where one rounding to float32 turns an angle by 1e-3. Models were made with float32
 * angles, so every rounding is repeated here.
 */
import type { Cosmos3TransformerConfig } from "./transformer-cosmos3-definition.js";

export interface RotaryGrid {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly tokens: number;
  readonly pairs: number;
}

/** A video's place on the axes. */
export interface Cosmos3Grid {
  readonly latentFrames: number;
  readonly height: number;
  readonly width: number;
  /** Text tokens before the video. */
  readonly textLength: number;
  /** Video frames per second. */
  readonly fps: number;
}

/** Text token i is at i on all axes. */
export function cosmos3TextRotary(config: Cosmos3TransformerConfig, tokens: number): RotaryGrid {
  const axes = new Uint8Array(config.head_dim / 2);
  return interleavedGrid(config, axes, [count(tokens, 0), [0], [0]]);
}

export function cosmos3VideoRotary(config: Cosmos3TransformerConfig, grid: Cosmos3Grid): RotaryGrid {
  const start = grid.textLength + config.unified_3d_mrope_temporal_modality_margin;
  const corner = config.unified_3d_mrope_reset_spatial_ids ? 0 : start;
  return interleavedGrid(config, pairAxes(config), [
    timePositions(config, grid, start),
    count(grid.height, corner),
    count(grid.width, corner),
  ]);
}

/** Latent frames lie `base_fps / fps` apart, except that a single one stands for an image. */
export function timePositions(config: Cosmos3TransformerConfig, grid: Cosmos3Grid, start: number): number[] {
  const isModulated = config.enable_fps_modulation && grid.latentFrames > 1;
  if (!isModulated) return count(grid.latentFrames, start);
  const { fround } = Math;
  return Array.from({ length: grid.latentFrames }, (_, t) => {
    const seconds = fround(t / fround(grid.fps));
    return fround(fround(seconds * fround(config.base_fps)) + start);
  });
}

function count(length: number, first: number): number[] {
  return Array.from({ length }, (_, i) => first + i);
}

/** Axis of each channel pair: time, height, width, time, height, … while height and width have any left. */
function pairAxes(config: Cosmos3TransformerConfig): Uint8Array {
  const [, height = 0, width = 0] = config.rope_axes_dim;
  return Uint8Array.from({ length: config.head_dim / 2 }, (_, j) => {
    if (j % 3 === 1 && j < 3 * height) return 1;
    return j % 3 === 2 && j < 3 * width ? 2 : 0;
  });
}

/** Tables `[t·h·w, pairs]`; tokens run over frame, row, column. `axes` says which position turns a pair. */
function interleavedGrid(
  config: Cosmos3TransformerConfig,
  axes: Uint8Array,
  positions: readonly [readonly number[], readonly number[], readonly number[]],
): RotaryGrid {
  const pairs = axes.length;
  const frequencies = Float32Array.from(axes, (_, j) => config.rope_theta ** -(j / pairs));
  const tables = positions.map((axis) => {
    const angles = Float32Array.from({ length: axis.length * pairs }, (_, i) => {
      return Math.fround(axis[Math.floor(i / pairs)]!) * frequencies[i % pairs]!;
    });
    return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
  });
  const [T, H, W] = positions.map((axis) => axis.length) as [number, number, number];
  const tokens = T * H * W;
  const out = { cos: new Float32Array(tokens * pairs), sin: new Float32Array(tokens * pairs), tokens, pairs };
  for (let token = 0; token < tokens; token++) {
    const at = [Math.floor(token / (H * W)), Math.floor(token / W) % H, token % W];
    for (let j = 0; j < pairs; j++) {
      const table = tables[axes[j]!]!;
      const from = at[axes[j]!]! * pairs + j;
      out.cos[token * pairs + j] = table.cos[from]!;
      out.sin[token * pairs + j] = table.sin[from]!;
    }
  }
  return out;
}
