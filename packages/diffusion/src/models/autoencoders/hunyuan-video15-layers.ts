/**
 * The building blocks of the HunyuanVideo 1.5 autoencoder.
 * Source: diffusers `models/autoencoders/autoencoder_kl_hunyuanvideo15.py`.
 *
 * diffusers runs the whole clip in one pass. Everything in it looks back in time only, so that a clip can go
 * through frame by frame: convolutions remember two frames, attention all keys and values.
 */
import {
  add,
  concat,
  type FloatDType,
  linear,
  permute,
  repeatInterleave,
  slice,
  type Tensor,
} from "@lvsa/runtime";
import type { AttentionMemory } from "./attention-memory.js";
import { RmsNormLayers } from "./autoencoder-layers.js";
import { CAUSAL_HISTORY, type ConvPlaces } from "./conv-weights.js";
import type { FeatureCache } from "./feature-cache.js";
import { wideAttention } from "./wide-attention.js";

const CAUSAL: ConvPlaces = {
  padding: { time: [CAUSAL_HISTORY, 0], height: [1, 1], width: [1, 1] },
  padMode: { time: "replicate", space: "replicate" },
};

/** What a clip's frames share, and whether this is the first of them: resampling in time leaves it single. */
export interface ClipContext {
  readonly cache: FeatureCache;
  readonly isFirst: boolean;
}

/** Of layers that look back over the whole clip. */
export interface AttendingContext extends ClipContext {
  readonly memory: AttentionMemory;
}

type MapShape = [batch: number, frames: number, height: number, width: number, channels: number];

export class HunyuanVideo15Layers extends RmsNormLayers<ClipContext> {
  /** Causal 3x3x3 convolution; the clip's edges repeat their nearest frame or pixel. f32. */
  causalConv(name: string, x: Tensor, { cache }: ClipContext, residual?: Tensor): Tensor {
    return this.weights.causalConv(name, x, CAUSAL, cache, residual);
  }

  protected operandDType(name: string, shape: readonly number[]): FloatDType {
    return this.weights.operandDType(`${name}.conv`, shape, CAUSAL);
  }

  protected convShortcut(name: string, x: Tensor): Tensor {
    return this.pointConv(name, x);
  }

  midBlock(name: string, x: Tensor, context: AttendingContext): Tensor {
    return this.device.scope(() => {
      const first = this.residualBlock(`${name}.resnets.0`, x, context);
      const attended = this.#attentionBlock(`${name}.attentions.0`, first, context);
      first.dispose();
      return this.residualBlock(`${name}.resnets.1`, attended, context);
    });
  }

  /** One head over all channels; a frame sees itself and all frames before it. */
  #attentionBlock(name: string, x: Tensor, { memory }: AttendingContext): Tensor {
    const [, frames, height, width, channels] = x.shape as MapShape;
    const { device } = this;
    const area = height * width;
    const tokens = frames * area;
    return device.scope(() => {
      const normed = this.norm(`${name}.norm`, x).reshape([tokens, channels]);
      const matrix = (layer: string) =>
        this.parameters.get(`${name}.${layer}.weight`).reshape([channels, channels]);
      const bias = (layer: string) => this.parameters.get(`${name}.${layer}.bias`);
      const { key, value, start, end } = memory.grow(name, tokens, area, channels);
      linear(device, normed, matrix("to_k"), { bias: bias("to_k"), out: key.rows(start, end) });
      linear(device, normed, matrix("to_v"), { bias: bias("to_v"), out: value.rows(start, end) });
      const query = linear(device, normed, matrix("to_q"), { bias: bias("to_q") });
      const rows = Array.from({ length: frames }, (_, f) => ({
        queryStart: f * area,
        queryEnd: (f + 1) * area,
        keyStart: 0,
        keyEnd: start + (f + 1) * area,
      }));
      const attended = wideAttention(device, query, key, value, rows);
      return linear(device, attended, matrix("proj_out"), {
        bias: bias("proj_out"),
        residual: x.reshape([tokens, channels]),
        outDtype: "f32",
      }).reshape(x.shape);
    });
  }

  /** Doubles height and width, and the frames where `temporal` (the first frame of a clip stays single). */
  upsample(name: string, x: Tensor, context: ClipContext, temporal: boolean): Tensor {
    const { device } = this;
    const doubles = temporal && !context.isFirst;
    return device.scope(() => {
      const wide = this.causalConv(`${name}.conv`, x, context);
      const channels = wide.dim(4) / (temporal ? 8 : 4);
      const unfolded = this.#toSpace(wide, doubles ? 2 : 1);
      wide.dispose();
      // Of a clip's first frame the channels of two are there; the first half is the frame, the other is dropped.
      const kept = temporal && !doubles ? slice(device, unfolded, 4, 0, channels) : unfolded;
      return add(device, kept, this.#upShortcut(x, channels, temporal, doubles));
    });
  }

  /** Repeated channels, unfolded; where time takes part diffusers unfolds first. */
  #upShortcut(x: Tensor, channels: number, temporal: boolean, doubles: boolean): Tensor {
    const { device } = this;
    return device.scope(() => {
      if (!temporal) return this.#toSpace(repeatInterleave(device, x, 4, (4 * channels) / x.dim(4)), 1);
      const unfolded = this.#toSpace(x, doubles ? 2 : 1);
      return repeatInterleave(device, unfolded, 4, channels / unfolded.dim(4));
    });
  }

  /** Halves height and width, and the frames where `temporal` (the first frame of a clip stays). */
  downsample(name: string, x: Tensor, context: ClipContext, temporal: boolean): Tensor {
    const { device } = this;
    return device.scope(() => {
      const narrow = this.causalConv(`${name}.conv`, x, context);
      const channels = narrow.dim(4) * (temporal ? 8 : 4);
      if (temporal && context.isFirst) {
        const folded = this.#toChannels(narrow, 1);
        const doubled = concat(device, [folded, folded], 4);
        return add(device, doubled, this.groupMean(this.#toChannels(x, 1), channels));
      }
      const factor = temporal ? 2 : 1;
      return add(
        device,
        this.#toChannels(narrow, factor),
        this.groupMean(this.#toChannels(x, factor), channels),
      );
    });
  }

  /** Averages neighbouring channels so that `channels` are left. */
  groupMean(x: Tensor, channels: number): Tensor {
    const { device } = this;
    return device.scope(() => {
      const group = x.dim(4) / channels;
      const weights = device.upload(new Float32Array(group).fill(1 / group), [1, group]);
      return linear(device, x.reshape([x.size / group, group]), weights).reshape([
        ...x.shape.slice(0, 4),
        channels,
      ]);
    });
  }

  /** Channels (time, y, x, channel), channel fastest, to `factorT` times the frames and twice the rows and columns. */
  #toSpace(x: Tensor, factorT: number): Tensor {
    const [, T, H, W, packed] = x.shape as MapShape;
    const channels = packed / (4 * factorT);
    return permute(this.device, x.reshape([T, H, W, factorT, 2, 2, channels]), [0, 3, 1, 4, 2, 5, 6]).reshape(
      [1, T * factorT, 2 * H, 2 * W, channels],
    );
  }

  /** The opposite of `#toSpace`. */
  #toChannels(x: Tensor, factorT: number): Tensor {
    const [, T, H, W, channels] = x.shape as MapShape;
    const [t, h, w] = [T / factorT, H / 2, W / 2];
    return permute(this.device, x.reshape([t, factorT, h, 2, w, 2, channels]), [0, 2, 4, 1, 3, 5, 6]).reshape(
      [1, t, h, w, 4 * factorT * channels],
    );
  }
}
