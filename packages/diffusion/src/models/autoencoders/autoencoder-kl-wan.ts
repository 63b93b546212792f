/**
 * AutoencoderKLWan: video to latents and back, chunk by chunk with a causal feature cache. Both flavours: Wan 2.1
 * (8x spatial) and the residual one of Wan 2.2 TI2V-5B and Cosmos 3 (16x with 2x2 pixel patches).
 * Source: diffusers `models/autoencoders/autoencoder_kl_wan.py`.
 */
import { add, channelAffine, clamp, permute, type Tensor, throwIfAborted } from "@lvsa/runtime";
import { type AutoencoderFiles, CausalAutoencoderKL, loadAutoencoder } from "./autoencoder-kl.js";
import { type AutoencoderKLWanConfig, autoencoderKLWan } from "./autoencoder-kl-wan-definition.js";
import { FeatureCache } from "./feature-cache.js";
import type { LatentFrames } from "./latent-frames.js";
import { type ChunkContext, WanLayers } from "./wan-layers.js";
import { averageDown, duplicateUp } from "./wan-shortcuts.js";

export interface EncodeVideoOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears of latent frames that are done, and how many there will be. */
  readonly onChunk?: ((done: number, count: number) => void) | undefined;
}

export class AutoencoderKLWan extends CausalAutoencoderKL<AutoencoderKLWanConfig, WanLayers> {
  /** @throws ConfigError, WeightsError, AbortError */
  static load(...files: AutoencoderFiles): Promise<AutoencoderKLWan> {
    return loadAutoencoder(
      autoencoderKLWan,
      files,
      (device, config, parameters) => new AutoencoderKLWan(device, config, new WanLayers(parameters)),
    );
  }

  get spatialFactor(): number {
    return this.config.scale_factor_spatial;
  }

  get temporalFactor(): number {
    return this.config.scale_factor_temporal;
  }

  /**
   * Decodes raw latents (see `denormalize`) of T frames to 4T − 3 video frames, one at a time: `[1, 1, H, W, 3]` f32 in
   * [-1, 1]. Each belongs to the receiver; nothing waits for the GPU here.
   */
  *decode(latents: LatentFrames): Generator<Tensor, void, undefined> {
    for (const frame of this.decodeUnclamped(latents)) {
      const clamped = this.device.scope(() => clamp(this.device, frame, -1, 1));
      frame.dispose();
      yield clamped;
    }
  }

  /** The same without the cut to [-1, 1] at the end: what tiles are blended of. */
  *decodeUnclamped(latents: LatentFrames): Generator<Tensor, void, undefined> {
    const device = this.device;
    const cache = new FeatureCache(device);
    try {
      for (let f = 0; f < latents.count; f++) {
        const context = { cache, isFirst: f === 0 };
        const x = device.scope(() => {
          const rows = latents.rows(f, f + 1);
          const frame = rows.reshape([1, ...rows.shape]);
          const latent = this.layers.pointConv("post_quant_conv", frame);
          const wide = this.layers.causalConv("decoder.conv_in", latent, context);
          return this.#midBlock("decoder.mid_block", wide, context);
        });
        yield* this.#decodeLevels(0, x, context);
      }
    } finally {
      cache.clear();
    }
  }

  /**
   * Encodes video `[1, 3, F, H, W]` in [-1, 1], F = 4k + 1. Returns moments `[1, 2·z, T, h, w]`: mean, then log
   * variance (not clamped). Owned by the caller. @throws ShapeError, AbortError
   */
  async encode(video: Tensor, options: EncodeVideoOptions = {}): Promise<Tensor> {
    const [, , F, H, W] = video.shape as [number, number, number, number, number];
    using last = this.frames(video);
    return await this.encodeFrames(F, H, W, (start, end) => last.rows(start, end), options);
  }

  /**
   * The same for a video that is made while it is encoded: `frames(start, end)` gives `[end − start, H, W, 3]`, which is
   * freed here.
   */
  async encodeFrames(
    F: number,
    H: number,
    W: number,
    frames: (start: number, end: number) => Tensor,
    { signal, onChunk }: EncodeVideoOptions = {},
  ): Promise<Tensor> {
    const device = this.device;
    const chunks = this.chunks("AutoencoderKLWan", F, H, W);
    const cache = new FeatureCache(device);
    const parts: Tensor[] = [];
    try {
      for (const { start, end } of chunks) {
        throwIfAborted(signal, "encoding the video");
        const context = { cache, isFirst: start === 0 };
        parts.push(
          device.scope(() => {
            const chunk = frames(start, end);
            const patched = this.#patchify(chunk.reshape([1, ...chunk.shape]));
            return this.layers.pointConv("quant_conv", this.#encoder(patched, context));
          }),
        );
        // The first chunk has another shape than the others, which need none of its memory.
        await (parts.length === 1 ? device.releaseMemory() : device.pace());
        onChunk?.(parts.length, chunks.length);
      }
      return device.scope(() => this.moments(parts));
    } finally {
      for (const part of parts) part.dispose();
      cache.clear();
    }
  }

  /** Scheduler latents to raw ones, as decode wants them: `latents · std + mean` per channel. `[1, C, T, h, w]`. */
  denormalize(latents: Tensor): Tensor {
    // The pipeline divides by 1/std in f32.
    const scale = this.config.latents_std.map((s) => 1 / Math.fround(1 / s));
    return this.#perChannel(latents, scale, this.config.latents_mean);
  }

  /** Raw latents to scheduler ones: `(latents − mean) / std` per channel. `[1, C, T, h, w]`. */
  normalize(latents: Tensor): Tensor {
    const { latents_mean: mean, latents_std: std } = this.config;
    return this.#perChannel(
      latents,
      std.map((s) => 1 / s),
      mean.map((m, i) => -m / std[i]!),
    );
  }

  #perChannel(x: Tensor, scale: readonly number[], shift: readonly number[]): Tensor {
    const device = this.device;
    const [, C, T, h, w] = x.shape as [number, number, number, number, number];
    return device.scope(() => {
      const last = permute(device, x.reshape([C, T * h * w]), [1, 0]);
      const y = channelAffine(device, last, device.upload(scale, [C]), device.upload(shift, [C]));
      return permute(device, y, [1, 0]).reshape(x.shape);
    });
  }

  /**
   * One frame through the levels from `level` on, depth first: each of the frames that a level makes goes to the end
   * before the next one starts, so that only one frame is there at the widest levels. Takes `x` over.
   */
  *#decodeLevels(level: number, x: Tensor, context: ChunkContext): Generator<Tensor, void, undefined> {
    const device = this.device;
    const layers = this.layers;
    if (level === this.config.dim_mult.length) {
      const video = device.scope(() => {
        const pixels = layers.normConv("decoder.norm_out", "decoder.conv_out", x, context, { owned: true });
        return this.#unpatchify(pixels);
      });
      yield video;
      return;
    }
    const made = device.scope(() => this.#upBlock(level, x, context));
    x.dispose();
    const [, frames, ...rest] = made.shape as [number, number, ...number[]];
    try {
      for (let j = 0; j < frames; j++) {
        const frame = device.scope(() =>
          made
            .reshape([frames, ...rest])
            .rows(j, j + 1)
            .reshape([1, 1, ...rest]),
        );
        // The last view keeps the memory by itself.
        if (j === frames - 1) made.dispose();
        yield* this.#decodeLevels(level + 1, frame, context);
      }
    } finally {
      made.dispose();
    }
  }

  /** Residual blocks of one level and, except in the last, its upsampling: `[1, 1 or 2, H, W, C]`. */
  #upBlock(level: number, input: Tensor, context: ChunkContext): Tensor {
    const device = this.device;
    const layers = this.layers;
    const { dim_mult, num_res_blocks, temperal_downsample, is_residual } = this.config;
    const name = `decoder.up_blocks.${level}`;
    let x = input;
    // Feature maps are the peak of a whole generation: each goes as soon as the next one stands.
    const advance = (next: Tensor) => {
      if (x !== input) x.dispose();
      x = next;
    };
    for (let r = 0; r <= num_res_blocks; r++)
      advance(layers.residualBlock(`${name}.resnets.${r}`, x, context));
    if (level === dim_mult.length - 1) return x;
    const factorT = [...temperal_downsample].reverse()[level] ? 2 : 1;
    const upsampler = is_residual ? `${name}.upsampler` : `${name}.upsamplers.0`;
    advance(layers.upsample(upsampler, x, context, factorT === 2));
    if (is_residual) {
      const shortcut = duplicateUp(device, input, x.dim(4), factorT, 2, context.isFirst);
      advance(add(device, x, shortcut));
      shortcut.dispose();
    }
    return x;
  }

  #encoder(input: Tensor, context: ChunkContext): Tensor {
    const layers = this.layers;
    const { dim_mult, num_res_blocks, temperal_downsample, is_residual } = this.config;
    let x = layers.causalConv("encoder.conv_in", input, context);
    const last = dim_mult.length - 1;
    let flat = 0; // index in the flat list of down blocks (Wan 2.1)
    for (let i = 0; i <= last; i++) {
      const before = x;
      for (let r = 0; r < num_res_blocks; r++) {
        const name = is_residual ? `encoder.down_blocks.${i}.resnets.${r}` : `encoder.down_blocks.${flat++}`;
        x = layers.residualBlock(name, x, context);
      }
      const temporal = i < last && temperal_downsample[i] === true;
      if (i < last) {
        const name = is_residual ? `encoder.down_blocks.${i}.downsampler` : `encoder.down_blocks.${flat++}`;
        x = layers.downsample(name, x, context, temporal);
      }
      if (is_residual) {
        const factors = [temporal ? 2 : 1, i < last ? 2 : 1] as const;
        x = add(this.device, x, averageDown(this.device, before, x.dim(4), ...factors));
      }
    }
    x = this.#midBlock("encoder.mid_block", x, context);
    return layers.normConv("encoder.norm_out", "encoder.conv_out", x, context);
  }

  #midBlock(name: string, x: Tensor, context: ChunkContext): Tensor {
    return this.device.scope(() => {
      const first = this.layers.residualBlock(`${name}.resnets.0`, x, context);
      const attended = this.layers.attentionBlock(`${name}.attentions.0`, first);
      return this.layers.residualBlock(`${name}.resnets.1`, attended, context);
    });
  }

  /** `[1, T, H, W, C]` to `[1, T, H/p, W/p, C·p·p]`, features ordered (channel, x offset, y offset). */
  #patchify(x: Tensor): Tensor {
    const p = this.config.patch_size ?? 1;
    if (p === 1) return x;
    const [, T, H, W, C] = x.shape as [number, number, number, number, number];
    return permute(this.device, x.reshape([T, H / p, p, W / p, p, C]), [0, 1, 3, 5, 4, 2]).reshape([
      1,
      T,
      H / p,
      W / p,
      C * p * p,
    ]);
  }

  #unpatchify(x: Tensor): Tensor {
    const p = this.config.patch_size ?? 1;
    if (p === 1) return x;
    const [, T, H, W, F] = x.shape as [number, number, number, number, number];
    const C = F / (p * p);
    return permute(this.device, x.reshape([T, H, W, C, p, p]), [0, 1, 5, 2, 4, 3]).reshape([
      1,
      T,
      H * p,
      W * p,
      C,
    ]);
  }
}
