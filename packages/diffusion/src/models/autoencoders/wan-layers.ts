/** The building blocks of the Wan autoencoder. Source: diffusers `models/autoencoders/autoencoder_kl_wan.py`. */
import { conv3d, type FloatDType, linear, permute, resizeNearest, type Tensor } from "@lvsa/runtime";
import { RmsNormLayers } from "./autoencoder-layers.js";
import { CAUSAL_HISTORY, type ConvPlaces } from "./conv-weights.js";
import type { FeatureCache } from "./feature-cache.js";
import { wideAttention } from "./wide-attention.js";

/** Whether a chunk is the first of a clip: temporal resampling passes its single frame through. */
export interface ChunkContext {
  readonly cache: FeatureCache;
  readonly isFirst: boolean;
}

export class WanLayers extends RmsNormLayers<ChunkContext> {
  /** Causal convolution of 3 or 1 frames; `kernel 3` remembers its last two input frames. f32. */
  causalConv(name: string, x: Tensor, context: ChunkContext, residual?: Tensor): Tensor {
    return this.device.scope(() => {
      const weight = this.weights.get(name);
      const places = this.#causalPlaces(name);
      const operand = this.weights.operand(name, x, places);
      const remembers = weight.kernel[0] > 1;
      const history = remembers ? context.cache.history(name, operand, CAUSAL_HISTORY) : undefined;
      const y = conv3d(this.device, operand, weight, {
        ...places,
        bias: this.parameters.get(`${name}.bias`),
        outDtype: "f32",
        ...(history ? { history } : {}),
        ...(residual ? { residual } : {}),
      });
      if (remembers) context.cache.push(name, operand, CAUSAL_HISTORY);
      return y;
    });
  }

  #causalPlaces(name: string): ConvPlaces {
    const side: [number, number] = this.weights.get(name).kernel[1] > 1 ? [1, 1] : [0, 0];
    return { padding: { time: [0, 0], height: side, width: side } };
  }

  protected operandDType(name: string, shape: readonly number[]): FloatDType {
    return this.weights.operandDType(name, shape, this.#causalPlaces(name));
  }

  protected convShortcut(name: string, x: Tensor, context: ChunkContext): Tensor {
    return this.causalConv(name, x, context);
  }

  /** Self attention inside each frame, one head. */
  attentionBlock(name: string, x: Tensor): Tensor {
    const [, frames, height, width, channels] = x.shape as [number, number, number, number, number];
    const { device } = this;
    return device.scope(() => {
      const tokens = frames * height * width;
      const normed = this.norm(`${name}.norm`, x).reshape([tokens, channels]);
      const weight = this.parameters.get(`${name}.to_qkv.weight`).reshape([3 * channels, channels]);
      const bias = this.parameters.get(`${name}.to_qkv.bias`);
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
        this.parameters.get(`${name}.proj.weight`).reshape([channels, channels]),
        {
          bias: this.parameters.get(`${name}.proj.bias`),
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
      const [, frames, height, width, channels] = y.shape as [number, number, number, number, number];
      const conv = `${name}.resample.1`;
      const places: ConvPlaces = { padding: { time: [0, 0], height: [1, 1], width: [1, 1] } };
      const input = [1, frames, 2 * height, 2 * width, channels];
      const small = this.weights.operand(conv, y, places, input);
      if (small !== y && y !== x) y.dispose();
      const large = resizeNearest(this.device, small, [frames, 2 * height, 2 * width], { exact: true });
      if (small !== x) small.dispose();
      return conv3d(this.device, large, this.weights.get(conv), {
        ...places,
        bias: this.parameters.get(`${conv}.bias`),
        outDtype: "f32",
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
      const y = conv3d(this.device, x, this.weights.get(`${name}.resample.1`), {
        bias: this.parameters.get(`${name}.resample.1.bias`),
        stride: [1, 2, 2],
        padding: { time: [0, 0], height: [0, 1], width: [0, 1] },
      });
      if (!temporal) return y;
      const key = `${name}.time_conv`;
      if (context.isFirst) {
        context.cache.push(key, y, 1);
        return y;
      }
      const out = conv3d(this.device, y, this.weights.get(key), {
        bias: this.parameters.get(`${key}.bias`),
        stride: [2, 1, 1],
        padding: { time: [0, 0], height: [0, 0], width: [0, 0] },
        history: context.cache.history(key, y, 1),
      });
      context.cache.push(key, y, 1);
      return out;
    });
  }
}
