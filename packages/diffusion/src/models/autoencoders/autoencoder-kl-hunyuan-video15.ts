/**
 * AutoencoderKLHunyuanVideo15: video to latents and back, frame by frame. The results are those of diffusers, which
 * runs whole clips in one pass. Source: diffusers `models/autoencoders/autoencoder_kl_hunyuanvideo15.py`.
 */
import {
  add,
  affine,
  concat,
  type DType,
  repeatInterleave,
  type Tensor,
  throwIfAborted,
} from "@lvsa/runtime";
import type { HostTensor } from "../../pipelines/host-tensor.js";
import type { Tap } from "../transformers/forward-hooks.js";
import { AttentionMemory } from "./attention-memory.js";
import { type AutoencoderFiles, CausalAutoencoderKL, loadAutoencoder } from "./autoencoder-kl.js";
import {
  type AutoencoderKLHunyuanVideo15Config,
  autoencoderKLHunyuanVideo15,
} from "./autoencoder-kl-hunyuan-video15-definition.js";
import { FeatureCache } from "./feature-cache.js";
import { type AttendingContext, type ClipContext, HunyuanVideo15Layers } from "./hunyuan-video15-layers.js";
import type { LatentFrames } from "./latent-frames.js";

export class AutoencoderKLHunyuanVideo15 extends CausalAutoencoderKL<
  AutoencoderKLHunyuanVideo15Config,
  HunyuanVideo15Layers
> {
  /** @throws ConfigError, WeightsError, AbortError */
  static load(...files: AutoencoderFiles): Promise<AutoencoderKLHunyuanVideo15> {
    return loadAutoencoder(
      autoencoderKLHunyuanVideo15,
      files,
      (device, config, parameters) =>
        new AutoencoderKLHunyuanVideo15(device, config, new HunyuanVideo15Layers(parameters)),
    );
  }

  get spatialFactor(): number {
    return this.config.spatial_compression_ratio;
  }

  get temporalFactor(): number {
    return this.config.temporal_compression_ratio;
  }

  /**
   * The part of decoding that looks back over the whole clip: raw latents (see `denormalize`) to what `decode` takes, in
   * main memory. Keys and values of all frames are on the GPU while it works, and gone when the levels that make frames
   * of it need their memory. `tap` hears of `mid` once per latent frame.
   * @throws AbortError
   */
  async prepare(
    latents: LatentFrames,
    { signal, tap }: { readonly signal?: AbortSignal | undefined; readonly tap?: Tap | undefined } = {},
  ): Promise<LatentFrames> {
    const device = this.device;
    const cache = new FeatureCache(device);
    const memory = new AttentionMemory(device, latents.count);
    const frames: (HostTensor & { readonly dtype: DType })[] = [];
    try {
      for (let f = 0; f < latents.count; f++) {
        throwIfAborted(signal, "decoding");
        using mid = device.scope(() => {
          const frame = latents.rows(f, f + 1);
          return this.#middle(frame.reshape([1, ...frame.shape]), { cache, memory, isFirst: f === 0 });
        });
        tap?.("mid", mid);
        frames.push({ data: await device.read(mid), shape: mid.shape.slice(1), dtype: mid.dtype });
      }
    } finally {
      cache.clear();
      memory.clear();
    }
    await device.releaseMemory();
    const { count, height, width } = latents;
    return {
      ...{ count, height, width },
      rows: (start, end) => {
        const parts = frames
          .slice(start, end)
          .map(({ data, shape, dtype }) => device.upload(data, shape, dtype));
        return parts.length === 1 ? parts[0]! : concat(device, parts, 0);
      },
    };
  }

  /**
   * Decodes what `prepare` made of T latent frames to 4T − 3 video frames, one at a time: `[1, 1, H, W, 3]` f32, about −1
   * to 1 but not clamped. Each belongs to the receiver; nothing waits for the GPU.
   * `tap` hears of stages once per latent frame (`up0`, …) or once per video frame.
   */
  *decode(prepared: LatentFrames, tap?: Tap): Generator<Tensor, void, undefined> {
    const device = this.device;
    const cache = new FeatureCache(device);
    try {
      for (let f = 0; f < prepared.count; f++) {
        const context = { cache, isFirst: f === 0 };
        // Down to here a latent frame is few cells; from here on its video frames go one by one.
        const low = device.scope(() => {
          const frame = prepared.rows(f, f + 1);
          return this.#decodeInTime(frame.reshape([1, ...frame.shape]), context, tap);
        });
        const [, frames, ...rest] = low.shape as [number, number, ...number[]];
        try {
          for (let j = 0; j < frames; j++) {
            yield device.scope(() => {
              const frame = low.reshape([frames, ...rest]).rows(j, j + 1);
              return this.#decodeInSpace(frame.reshape([1, 1, ...rest]), context, tap);
            });
          }
        } finally {
          low.dispose();
        }
      }
    } finally {
      cache.clear();
    }
  }

  /**
   * Encodes video `[1, 3, F, H, W]` in [−1, 1], F = 4k + 1. Returns moments `[1, 2·C, T, h, w]`: mean, then log
   * variance (not clamped). Owned by the caller.
   */
  encode(video: Tensor): Tensor {
    const device = this.device;
    const [, , F, H, W] = video.shape as [number, number, number, number, number];
    const chunks = this.chunks("AutoencoderKLHunyuanVideo15", F, H, W);
    const cache = new FeatureCache(device);
    const memory = new AttentionMemory(device, chunks.length);
    try {
      return device.scope(() => {
        const last = this.frames(video);
        const parts = chunks.map(({ start, end }) => {
          const context = { cache, memory, isFirst: start === 0 };
          const chunk = last.rows(start, end);
          return device.scope(() => this.#encode(chunk.reshape([1, ...chunk.shape]), context));
        });
        return this.moments(parts);
      });
    } finally {
      cache.clear();
      memory.clear();
    }
  }

  /** Scheduler latents to raw ones, as decode wants them. */
  denormalize(latents: Tensor): Tensor {
    return affine(this.device, latents, { scale: 1 / this.config.scaling_factor });
  }

  /** Raw latents to scheduler ones. */
  normalize(latents: Tensor): Tensor {
    return affine(this.device, latents, { scale: this.config.scaling_factor });
  }

  /** Input convolution and middle. */
  #middle(frame: Tensor, context: AttendingContext): Tensor {
    const device = this.device;
    const layers = this.layers;
    const conv = layers.causalConv("decoder.conv_in", frame, context);
    const repeated = repeatInterleave(device, frame, 4, conv.dim(4) / frame.dim(4));
    return layers.midBlock("decoder.mid_block", add(device, conv, repeated), context);
  }

  /** The levels that double frames. */
  #decodeInTime(frame: Tensor, context: ClipContext, tap: Tap | undefined): Tensor {
    let x = frame;
    for (let level = 0; level < this.#temporalLevels; level++) x = this.#upBlock(level, x, context, tap);
    return x;
  }

  /** The remaining levels and the output convolution. */
  #decodeInSpace(frame: Tensor, context: ClipContext, tap: Tap | undefined): Tensor {
    const layers = this.layers;
    let x = frame;
    for (let level = this.#temporalLevels; level < this.config.block_out_channels.length; level++) {
      const previous = x;
      x = this.#upBlock(level, x, context, tap);
      if (previous !== frame) previous.dispose();
    }
    return layers.normConv("decoder.norm_out", "decoder.conv_out", x, context);
  }

  #upBlock(level: number, input: Tensor, context: ClipContext, tap: Tap | undefined): Tensor {
    const layers = this.layers;
    const name = `decoder.up_blocks.${level}`;
    const out = this.device.scope(() => {
      let x = input;
      const next = (y: Tensor) => {
        if (x !== input) x.dispose();
        x = y;
      };
      for (let r = 0; r <= this.config.layers_per_block; r++) {
        next(layers.residualBlock(`${name}.resnets.${r}`, x, context));
      }
      if (level < Math.max(this.#spatialLevels, this.#temporalLevels)) {
        next(layers.upsample(`${name}.upsamplers.0`, x, context, level < this.#temporalLevels));
      }
      return x;
    });
    tap?.(`up${level}`, out);
    return out;
  }

  #encode(chunk: Tensor, context: AttendingContext): Tensor {
    const layers = this.layers;
    const { block_out_channels: widths, layers_per_block, latent_channels } = this.config;
    let x = layers.causalConv("encoder.conv_in", chunk, context);
    for (let level = 0; level < widths.length; level++) {
      const name = `encoder.down_blocks.${level}`;
      for (let r = 0; r < layers_per_block; r++) {
        x = layers.residualBlock(`${name}.resnets.${r}`, x, context);
      }
      if (level >= this.#spatialLevels) continue;
      const temporal = level >= this.#spatialLevels - this.#temporalLevels;
      x = layers.downsample(`${name}.downsamplers.0`, x, context, temporal);
    }
    x = layers.midBlock("encoder.mid_block", x, context);
    const shortcut = layers.groupMean(x, 2 * latent_channels);
    return layers.normConv("encoder.norm_out", "encoder.conv_out", x, context, { residual: shortcut });
  }

  get #spatialLevels(): number {
    return Math.log2(this.config.spatial_compression_ratio);
  }

  get #temporalLevels(): number {
    return Math.log2(this.config.temporal_compression_ratio);
  }
}
