/**
 * AutoencoderKLCogVideoX: video to latents and back, chunk by chunk as in diffusers: group norms take their statistics
 * from a chunk, so its length is part of the result.
 * Source: diffusers `models/autoencoders/autoencoder_kl_cogvideox.py`.
 */
import { affine, ShapeError, type Tensor } from "@lvsa/runtime";
import { type AutoencoderFiles, AutoencoderKL, loadAutoencoder } from "./autoencoder-kl.js";
import {
  type AutoencoderKLCogVideoXConfig,
  autoencoderKLCogVideoX,
  cogVideoXSpatialFactor,
} from "./autoencoder-kl-cogvideox-definition.js";
import { type ChunkContext, CogVideoXLayers, type Frames, release } from "./cogvideox-layers.js";
import { FeatureCache } from "./feature-cache.js";
import type { LatentFrames } from "./latent-frames.js";

/** Frames per chunk; the first chunk of a clip takes the remainder besides. */
const LATENT_FRAMES = 2;
const VIDEO_FRAMES = 8;

/** Residual blocks between encoder and decoder halves; fixed in the class. */
const MIDDLE_LAYERS = 2;

export class AutoencoderKLCogVideoX extends AutoencoderKL<AutoencoderKLCogVideoXConfig, CogVideoXLayers> {
  /** @throws ConfigError, WeightsError, AbortError */
  static load(...files: AutoencoderFiles): Promise<AutoencoderKLCogVideoX> {
    return loadAutoencoder(
      autoencoderKLCogVideoX,
      files,
      (device, config, parameters) =>
        new AutoencoderKLCogVideoX(device, config, new CogVideoXLayers(parameters, config)),
    );
  }

  get spatialFactor(): number {
    return cogVideoXSpatialFactor(this.config);
  }

  get temporalFactor(): number {
    return this.config.temporal_compression_ratio;
  }

  /**
   * Decodes raw latents (see `denormalize`) of T frames in chunks of 2 latent frames, 3 the first time when T is
   * odd. Yields one video frame at a time, 4T − 3 for odd T and 4T for even T: `[1, 1, H, W, 3]` f32, about −1 to 1 but
   * not clamped. Each belongs to the receiver; nothing waits for the GPU.
   */
  *decode(latents: LatentFrames): Generator<Tensor, void, undefined> {
    const device = this.device;
    const cache = new FeatureCache(device);
    try {
      for (const { start, end } of chunks(latents.count, LATENT_FRAMES)) {
        const rows = latents.rows(start, end);
        const chunk = rows.reshape([1, ...rows.shape]);
        const context = { cache, latents: chunk };
        const frames = device.scope(() => this.#decodeFeatures(frameList(chunk), context));
        let done = 0;
        try {
          for (const frame of this.layers.normConv("decoder.norm_out", "decoder.conv_out", frames, context)) {
            release(frames, done);
            done += 1;
            yield frame;
          }
        } finally {
          for (const left of frames.slice(done)) left.dispose();
          chunk.dispose();
          rows.dispose();
        }
      }
    } finally {
      cache.clear();
    }
  }

  /**
   * Encodes video `[1, 3, F, H, W]` in [−1, 1] in chunks of 8 frames, the first with the remainder besides. Returns
   * moments `[1, 2·C, T, h, w]`: mean, then log variance (not clamped). Owned by the caller.
   */
  encode(video: Tensor): Tensor {
    const device = this.device;
    const [, channels, F, H, W] = video.shape as [number, number, number, number, number];
    if (H % this.spatialFactor || W % this.spatialFactor) {
      throw new ShapeError("SHAPE_MISMATCH", `AutoencoderKLCogVideoX: cannot encode frames of ${W}x${H}`, {
        fix: `Use sizes that ${this.spatialFactor} divides.`,
      });
    }
    const cache = new FeatureCache(device);
    try {
      return device.scope(() => {
        const last = this.frames(video);
        const parts = chunks(F, VIDEO_FRAMES).flatMap(({ start, end }) =>
          device.scope(() => {
            const chunk = last.rows(start, end).reshape([1, end - start, H, W, channels]);
            return this.#encode(frameList(chunk), { cache });
          }),
        );
        return this.moments(parts);
      });
    } finally {
      cache.clear();
    }
  }

  /** Scheduler latents to raw ones, as decode wants them. */
  denormalize(latents: Tensor): Tensor {
    return affine(this.device, latents, { scale: 1 / this.config.scaling_factor });
  }

  /** Everything before the last norm. */
  #decodeFeatures(latents: Frames, context: ChunkContext): Tensor[] {
    const layers = this.layers;
    const { block_out_channels: widths, layers_per_block } = this.config;
    let x = latents.map((frame) => layers.causalConv("decoder.conv_in", frame, context));
    x = this.#resnets("decoder.mid_block", MIDDLE_LAYERS, x, context);
    for (let level = 0; level < widths.length; level++) {
      const name = `decoder.up_blocks.${level}`;
      x = this.#resnets(name, layers_per_block + 1, x, context);
      if (level === widths.length - 1) break;
      x = layers.upsample(`${name}.upsamplers.0`, x, level < this.#temporalLevels);
    }
    return x;
  }

  #encode(video: Frames, context: ChunkContext): Tensor[] {
    const layers = this.layers;
    const { block_out_channels: widths, layers_per_block } = this.config;
    let x = video.map((frame) => layers.causalConv("encoder.conv_in", frame, context));
    for (let level = 0; level < widths.length; level++) {
      const name = `encoder.down_blocks.${level}`;
      x = this.#resnets(name, layers_per_block, x, context);
      if (level === widths.length - 1) break;
      x = layers.downsample(`${name}.downsamplers.0`, x, level < this.#temporalLevels);
    }
    x = this.#resnets("encoder.mid_block", MIDDLE_LAYERS, x, context);
    return [...layers.normConv("encoder.norm_out", "encoder.conv_out", x, context)];
  }

  #resnets(name: string, count: number, frames: Tensor[], context: ChunkContext): Tensor[] {
    let x = frames;
    for (let i = 0; i < count; i++) x = this.layers.residualBlock(`${name}.resnets.${i}`, x, context);
    return x;
  }

  get #temporalLevels(): number {
    return Math.floor(Math.log2(this.config.temporal_compression_ratio));
  }
}

/** Chunks of `size` frames; the first takes the remainder besides. */
function chunks(frames: number, size: number): { start: number; end: number }[] {
  const count = Math.max(1, Math.floor(frames / size));
  const rest = frames - count * size;
  return Array.from({ length: count }, (_, i) => ({
    start: i === 0 ? 0 : size * i + rest,
    end: size * (i + 1) + rest,
  }));
}

/** Frames `[1, 1, H, W, C]` of `[1, T, H, W, C]`, as views. */
function frameList(x: Tensor): Tensor[] {
  const [, T, H, W, C] = x.shape as [number, number, number, number, number];
  const rows = x.reshape([T, H, W, C]);
  return Array.from({ length: T }, (_, t) => rows.rows(t, t + 1).reshape([1, 1, H, W, C]));
}
