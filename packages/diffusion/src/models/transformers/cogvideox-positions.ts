/**
 * Where CogVideoX puts its video tokens: rotary tables (5B, 1.5) or a sin-cos table that is added (2B).
 * Sources: diffusers `get_3d_rotary_pos_embed`, `get_3d_sincos_pos_embed`, `get_resize_crop_region_for_grid`.
 */
import type { TemporalFrequencies, VideoGeometry } from "@lvsa/core";
import { UsageError } from "@lvsa/runtime";
import { roundHalfEven } from "../../numbers/round-half-even.js";
import { integerPositions, type RotaryAxis, rotaryFrequencies } from "../embeddings.js";

/** Of the transformer's configuration. */
interface PositionConfig {
  readonly num_attention_heads: number;
  readonly attention_head_dim: number;
  readonly sample_width: number;
  readonly sample_height: number;
  readonly sample_frames: number;
  readonly patch_size: number;
  readonly patch_size_t: number | null;
  readonly temporal_compression_ratio: number;
  readonly max_text_seq_length: number;
  readonly spatial_interpolation_scale: number;
  readonly temporal_interpolation_scale: number;
}

/** Time, height and width axis of the rotary embedding for a clip. */
export function cogVideoXRotaryAxes(
  config: PositionConfig,
  geometry: VideoGeometry,
  change: TemporalFrequencies | undefined,
): [RotaryAxis, RotaryAxis, RotaryAxis] {
  const dim = config.attention_head_dim;
  const temporal = rotaryFrequencies(Math.floor(dim / 4));
  const spatial = rotaryFrequencies(Math.floor(dim / 8) * 3);
  const { latentFrames, height, width } = geometry;
  const base = {
    height: Math.floor(config.sample_height / config.patch_size),
    width: Math.floor(config.sample_width / config.patch_size),
  };
  const time = { positions: integerPositions(latentFrames), frequencies: change?.(temporal) ?? temporal };
  if (config.patch_size_t !== null) {
    // 1.5 cuts integer positions out of the base grid and has none beyond it.
    for (const [name, size, limit] of [
      ["height", height, base.height] as const,
      ["width", width, base.width] as const,
    ]) {
      if (size <= limit) continue;
      throw new UsageError(
        "BAD_SIZE",
        `CogVideoX 1.5: ${size} tokens of ${name}, the model has positions for ${limit}`,
        {
          fix: `Choose a smaller ${name}.`,
        },
      );
    }
    return [
      time,
      { positions: integerPositions(height), frequencies: spatial },
      { positions: integerPositions(width), frequencies: spatial },
    ];
  }
  const crop = cropRegion(height, width, base.width, base.height);
  return [
    time,
    { positions: fitted(crop.top, crop.bottom, height), frequencies: spatial },
    { positions: fitted(crop.left, crop.right, width), frequencies: spatial },
  ];
}

/** `linspace(start, stop·(n − 1)/n, n)` in float32. */
function fitted(start: number, stop: number, count: number): Float64Array {
  const end = Math.fround((stop * (count - 1)) / count);
  const step = count > 1 ? Math.fround((end - start) / (count - 1)) : 0;
  // torch counts from the nearer end, so that both ends are exact.
  return Float64Array.from({ length: count }, (_, i) =>
    i < count / 2 ? Math.fround(start + step * i) : Math.fround(end - step * (count - 1 - i)),
  );
}

/** The grid scaled into the base grid with its aspect ratio kept, centred. */
function cropRegion(height: number, width: number, baseWidth: number, baseHeight: number) {
  const tall = height / width > baseHeight / baseWidth;
  const resizedHeight = tall ? baseHeight : roundHalfEven((baseWidth / width) * height);
  const resizedWidth = tall ? roundHalfEven((baseHeight / height) * width) : baseWidth;
  const top = roundHalfEven((baseHeight - resizedHeight) / 2);
  const left = roundHalfEven((baseWidth - resizedWidth) / 2);
  return { top, left, bottom: top + resizedHeight, right: left + resizedWidth };
}

/** Whether a clip has the length that the table of learned positions is for; for others there is the sin-cos table. */
export function hasLearnedLength(
  config: PositionConfig,
  { latentFrames }: Pick<VideoGeometry, "latentFrames">,
): boolean {
  return config.sample_frames === (latentFrames - 1) * config.temporal_compression_ratio + 1;
}

/**
 * Learned positions are of one size and of one number of text rows. @param text rows of the text
 * @throws UsageError
 */
export function checkLearnedPositions(
  config: PositionConfig,
  { height, width }: Pick<VideoGeometry, "height" | "width">,
  text = config.max_text_seq_length,
): void {
  const p = config.patch_size;
  const own = { height: Math.floor(config.sample_height / p), width: Math.floor(config.sample_width / p) };
  if (height !== own.height || width !== own.width) {
    throw new UsageError(
      "BAD_SIZE",
      `CogVideoX image to video: ${width}x${height} tokens per frame, the model has positions for ${own.width}x${own.height} alone`,
      { fix: "Leave height and width out." },
    );
  }
  if (text !== config.max_text_seq_length) {
    throw new UsageError(
      "BAD_OPTION",
      `CogVideoX image to video: ${text} rows of text, the model has positions for ${config.max_text_seq_length}`,
      { fix: `Use ${config.max_text_seq_length} rows, padding included.` },
    );
  }
}

/** The 2B model's table, `[tokens, channels]`: a quarter for time, then half of the rest each for column and row. */
export function cogVideoXSinCosTable(
  config: PositionConfig,
  { latentFrames, height, width }: VideoGeometry,
): Float32Array {
  const channels = config.num_attention_heads * config.attention_head_dim;
  const temporal = channels / 4;
  const spatial = (3 * channels) / 8;
  const axis = (count: number, scale: number, dim: number) =>
    Array.from({ length: count }, (_, i) => sinCos(Math.fround(i / scale), dim));
  const time = axis(latentFrames, config.temporal_interpolation_scale, temporal);
  const rows = axis(height, config.spatial_interpolation_scale, spatial);
  const columns = axis(width, config.spatial_interpolation_scale, spatial);
  const out = new Float32Array(latentFrames * height * width * channels);
  let at = 0;
  for (const t of time) {
    for (const y of rows) {
      for (const x of columns) {
        out.set(t, at);
        out.set(x, at + temporal);
        out.set(y, at + temporal + spatial);
        at += channels;
      }
    }
  }
  return out;
}

/** Sines, then cosines, of one position. */
function sinCos(position: number, dim: number): Float32Array {
  const half = dim / 2;
  const out = new Float32Array(dim);
  for (let i = 0; i < half; i++) {
    const angle = position / 10_000 ** (i / half);
    out[i] = Math.sin(angle);
    out[half + i] = Math.cos(angle);
  }
  return out;
}
