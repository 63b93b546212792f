/**
 * The building blocks of the Wan autoencoder on channels-last feature maps `[1, T, H, W, C]`.
 * Source: diffusers `models/autoencoders/autoencoder_kl_wan.py`. Layers are named by their path in the
 * checkpoint, which is also their key in the feature cache.
 */
import {
  type ConvWeight,
  conv3d,
  type Device,
  linear,
  packConvWeight,
  permute,
  resizeNearest,
  rmsNorm,
  type Tensor,
} from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import type { FeatureCache } from "./feature-cache.js";
import { wideAttention } from "./wide-attention.js";

/** Input frames before the current one that a kernel of 3 frames sees. */
const HISTORY = 2;

/** Whether a chunk is the first of a clip: temporal resampling passes its single frame through. */
export interface ChunkContext {
  readonly cache: FeatureCache;
  readonly isFirst: boolean;
}

export class WanLayers {
  readonly device: Device;
  readonly #parameters: Parameters;
  readonly #packed = new Map<string, ConvWeight>();

  constructor(parameters: Parameters) {
    this.device = parameters.device;
    this.#parameters = parameters;
  }

  has(name: string): boolean {
    return this.#parameters.optional(name) !== undefined || this.#packed.has(name);
  }

  /** Causal convolution of 3 or 1 frames; `kernel 3` remembers its last two input frames. */
  causalConv(name: string, x: Tensor, context: ChunkContext, residual?: Tensor): Tensor {
    const weight = this.#weight(name);
    const [kt, kh] = weight.kernel;
    const history = kt > 1 ? context.cache.history(name, x, HISTORY) : undefined;
    const side: [number, number] = kh > 1 ? [1, 1] : [0, 0];
    const y = conv3d(this.device, x, weight, {
      bias: this.#parameters.get(`${name}.bias`),
      padding: { time: [0, 0], height: side, width: side },
      ...(history ? { history } : {}),
      ...(residual ? { residual } : {}),
    });
    if (kt > 1) context.cache.push(name, x, HISTORY);
    return y;
  }

  /** L2 norm over channels, times sqrt(C), times gamma; then SiLU where asked. */
  norm(name: string, x: Tensor, activation?: "silu"): Tensor {
    const gamma = this.#parameters.get(`${name}.gamma`);
    return rmsNorm(this.device, x, {
      weight: gamma.reshape([gamma.size]),
      eps: 1e-12,
      mode: "l2",
      ...(activation ? { activation } : {}),
    });
  }

  residualBlock(name: string, x: Tensor, context: ChunkContext): Tensor {
    return this.device.scope(() => {
      const shortcut = this.has(`${name}.conv_shortcut.weight`)
        ? this.causalConv(`${name}.conv_shortcut`, x, context)
        : x;
      // Each feature map goes as soon as the next one stands.
      const first = this.norm(`${name}.norm1`, x, "silu");
      const inner = this.causalConv(`${name}.conv1`, first, context);
      first.dispose();
      const second = this.norm(`${name}.norm2`, inner, "silu");
      inner.dispose();
      return this.causalConv(`${name}.conv2`, second, context, shortcut);
    });
  }

  /** Self attention inside each frame, one head. */
  attentionBlock(name: string, x: Tensor): Tensor {
    const [, frames, height, width, channels] = x.shape as [number, number, number, number, number];
    const { device } = this;
    return device.scope(() => {
      const tokens = frames * height * width;
      const normed = this.norm(`${name}.norm`, x).reshape([tokens, channels]);
      const weight = this.#parameters.get(`${name}.to_qkv.weight`).reshape([3 * channels, channels]);
      const bias = this.#parameters.get(`${name}.to_qkv.bias`);
      const [query, key, value] = [0, 1, 2].map((i) =>
        linear(device, normed, weight.rows(i * channels, (i + 1) * channels), {
          bias: bias.rows(i * channels, (i + 1) * channels),
        }),
      ) as [Tensor, Tensor, Tensor];
      const area = height * width;
      const rows = Array.from({ length: frames }, (_, f) => ({
        queryStart: f * area,
        queryEnd: (f + 1) * area,
        keyStart: f * area,
        keyEnd: (f + 1) * area,
      }));
      const attended = wideAttention(device, query, key, value, rows);
      return linear(
        device,
        attended,
        this.#parameters.get(`${name}.proj.weight`).reshape([channels, channels]),
        {
          bias: this.#parameters.get(`${name}.proj.bias`),
          residual: x.reshape([tokens, channels]),
          outDtype: "f32",
        },
      ).reshape(x.shape);
    });
  }

  /** Doubles height and width, and after the first chunk the frames (`upsample3d`). */
  upsample(name: string, x: Tensor, context: ChunkContext, temporal: boolean): Tensor {
    return this.device.scope(() => {
      const y = temporal && !context.isFirst ? this.#doubleFrames(`${name}.time_conv`, x, context) : x;
      const [, frames, height, width] = y.shape as [number, number, number, number];
      const large = resizeNearest(this.device, y, [frames, 2 * height, 2 * width], { exact: true });
      if (y !== x) y.dispose();
      return conv3d(this.device, large, this.#weight(`${name}.resample.1`), {
        bias: this.#parameters.get(`${name}.resample.1.bias`),
        padding: { time: [0, 0], height: [1, 1], width: [1, 1] },
      });
    });
  }

  /** Channels [0, C) and [C, 2C) of the time convolution are the even and the odd frames. */
  #doubleFrames(name: string, x: Tensor, context: ChunkContext): Tensor {
    const [, frames, height, width, channels] = x.shape as [number, number, number, number, number];
    return this.device.scope(() => {
      const both = this.causalConv(name, x, context).reshape([frames, height, width, 2, channels]);
      return permute(this.device, both, [0, 3, 1, 2, 4]).reshape([1, 2 * frames, height, width, channels]);
    });
  }

  /** Halves height and width, and after the first chunk the frames (`downsample3d`). */
  downsample(name: string, x: Tensor, context: ChunkContext, temporal: boolean): Tensor {
    return this.device.scope(() => {
      const y = conv3d(this.device, x, this.#weight(`${name}.resample.1`), {
        bias: this.#parameters.get(`${name}.resample.1.bias`),
        stride: [1, 2, 2],
        padding: { time: [0, 0], height: [0, 1], width: [0, 1] },
      });
      if (!temporal) return y;
      const key = `${name}.time_conv`;
      if (context.isFirst) {
        context.cache.push(key, y, 1);
        return y;
      }
      const out = conv3d(this.device, y, this.#weight(key), {
        bias: this.#parameters.get(`${key}.bias`),
        stride: [2, 1, 1],
        padding: { time: [0, 0], height: [0, 0], width: [0, 0] },
        history: context.cache.history(key, y, 1),
      });
      context.cache.push(key, y, 1);
      return out;
    });
  }

  /** A convolution without memory (1x1x1). */
  pointConv(name: string, x: Tensor): Tensor {
    return conv3d(this.device, x, this.#weight(name), {
      bias: this.#parameters.get(`${name}.bias`),
      padding: { time: [0, 0], height: [0, 0], width: [0, 0] },
    });
  }

  dispose(): void {
    for (const weight of this.#packed.values()) weight.dispose();
    this.#packed.clear();
    this.#parameters.dispose();
  }

  /** Packs a weight at its first use and frees the stored form. */
  #weight(name: string): ConvWeight {
    const stored = `${name}.weight`;
    let packed = this.#packed.get(stored);
    if (!packed) {
      packed = packConvWeight(this.device, this.#parameters.get(stored));
      this.#packed.set(stored, packed);
      this.#parameters.remove(stored);
    }
    return packed;
  }
}
