/**
 * The building blocks of the CogVideoX autoencoder. Source: diffusers `models/autoencoders/autoencoder_kl_cogvideox.py`.
 *
 * diffusers runs a chunk of frames through every layer as one tensor. Here a chunk is a list of frames: convolutions
 * go frame by frame with the two frames before in their cache, and only the statistics of a group norm look at the
 * whole chunk. Besides its input and output a block then holds temporaries of one frame, not of the chunk.
 */
import {
  addScaled,
  conv3d,
  type Device,
  groupNorm,
  groupNormStatistics,
  resizeNearest,
  type Tensor,
} from "@lvsa/runtime";
import type { Parameters } from "../parameters.js";
import { AutoencoderLayers } from "./autoencoder-layers.js";
import { CAUSAL_HISTORY, type ConvPlaces } from "./conv-weights.js";
import type { FeatureCache } from "./feature-cache.js";

const CAUSAL: ConvPlaces = {
  padding: { time: [CAUSAL_HISTORY, 0], height: [1, 1], width: [1, 1] },
  padMode: { time: "replicate", space: "zeros" },
};
/** Convolutions inside a frame: at its size, and to half of it. */
const SAME: ConvPlaces = { padding: { time: [0, 0], height: [1, 1], width: [1, 1] } };
const HALF: ConvPlaces = { stride: [1, 2, 2], padding: { time: [0, 0], height: [0, 1], width: [0, 1] } };

/** Of the decoder's norms and both halves' last one, whatever `norm_eps` says. */
const FIXED_EPS = 1e-6;

/** A chunk, frame by frame: `[1, 1, H, W, C]` each. A frame that was doubled in time is there twice, side by side. */
export type Frames = readonly Tensor[];

export interface ChunkContext {
  readonly cache: FeatureCache;
  /** Decoder: the chunk's latents `[1, T, h, w, z]`, which scale and shift every norm. */
  readonly latents?: Tensor;
}

export class CogVideoXLayers extends AutoencoderLayers {
  readonly #groups: number;
  readonly #eps: number;

  constructor(
    parameters: Parameters,
    config: { readonly norm_num_groups: number; readonly norm_eps: number },
  ) {
    super(parameters);
    this.#groups = config.norm_num_groups;
    this.#eps = config.norm_eps;
  }

  /** Causal 3x3x3 convolution of the next frame; before the clip's first frame stand copies of it. f32. */
  causalConv(name: string, frame: Tensor, { cache }: ChunkContext, residual?: Tensor): Tensor {
    return this.weights.causalConv(name, frame, CAUSAL, cache, residual);
  }

  /**
   * Norm over the whole chunk, SiLU and causal convolution; makes the frames one at a time, each the receiver's.
   * `residual` gives what is added to a frame.
   */
  *normConv(
    norm: string,
    conv: string,
    frames: Frames,
    context: ChunkContext,
    residual?: (frame: number) => Tensor,
  ): Generator<Tensor, void, undefined> {
    const { device } = this;
    const maps = context.latents && new LatentMaps(device, this.#maps(norm, context.latents), frames);
    const plain = maps ? `${norm}.norm_layer` : norm;
    const options = {
      groups: this.#groups,
      eps: maps || norm.endsWith(".norm_out") ? FIXED_EPS : this.#eps,
      weight: this.parameters.get(`${plain}.weight`),
      bias: this.parameters.get(`${plain}.bias`),
      activation: "silu",
      outDtype: this.weights.operandDType(`${conv}.conv`, frames[0]!.shape, CAUSAL),
    } as const;
    const statistics = groupNormStatistics(device, frames, options);
    try {
      for (const [f, frame] of frames.entries()) {
        const normed = groupNorm(device, frame, { ...options, statistics, ...maps?.at(f) });
        const y = device.scope(() => this.causalConv(conv, normed, context, residual?.(f)));
        normed.dispose();
        yield y;
      }
    } finally {
      statistics.dispose();
      maps?.dispose();
    }
  }

  /** Frees the input frames as it goes. */
  residualBlock(name: string, frames: Frames, context: ChunkContext): Tensor[] {
    const inner = [...this.normConv(`${name}.norm1`, `${name}.conv1`, frames, context)];
    const shortcut = `${name}.conv_shortcut`;
    const residual = (f: number) =>
      this.weights.has(shortcut) ? this.#pointConv(shortcut, frames[f]!) : frames[f]!;
    const out: Tensor[] = [];
    for (const y of this.normConv(`${name}.norm2`, `${name}.conv2`, inner, context, residual)) {
      release(inner, out.length);
      release(frames, out.length);
      out.push(y);
    }
    return out;
  }

  /** Doubles height and width, and the frames where `temporal`: of an odd number the first stays single. */
  upsample(name: string, frames: Frames, temporal: boolean): Tensor[] {
    const isDoubled = (f: number) => temporal && frames.length > 1 && (f > 0 || frames.length % 2 === 0);
    return frames.flatMap((frame, f) => {
      const y = this.device.scope(() => {
        const [height, width] = [frame.dim(2) * 2, frame.dim(3) * 2];
        // Frames stay apart in this convolution, so both copies of a doubled frame are one tensor.
        const input = [1, 1, height, width, frame.dim(4)];
        const small = this.weights.operand(`${name}.conv`, frame, SAME, input);
        return this.#frameConv(name, resizeNearest(this.device, small, [1, height, width]), SAME);
      });
      release(frames, f);
      return isDoubled(f) ? [y, y] : [y];
    });
  }

  /** Halves height and width, and the frames where `temporal`: of an odd number the first stays. */
  downsample(name: string, frames: Frames, temporal: boolean): Tensor[] {
    const { device } = this;
    const first = frames.length % 2;
    const count = temporal ? first + Math.floor(frames.length / 2) : frames.length;
    return Array.from({ length: count }, (_, f) => {
      const at = 2 * f - first;
      const isPair = temporal && f >= first;
      const y = device.scope(() => {
        const frame = isPair ? addScaled(device, frames[at]!, 0.5, frames[at + 1]!, 0.5) : frames[f]!;
        return this.#frameConv(name, frame, HALF);
      });
      for (const used of isPair ? [at, at + 1] : [f]) release(frames, used);
      return y;
    });
  }

  /** 3x3 convolution inside a frame. */
  #frameConv(name: string, frame: Tensor, places: ConvPlaces): Tensor {
    return conv3d(this.device, frame, this.weights.get(`${name}.conv`), {
      ...places,
      bias: this.parameters.get(`${name}.conv.bias`),
      outDtype: "f32",
    });
  }

  #pointConv(name: string, x: Tensor): Tensor {
    return conv3d(this.device, x, this.weights.get(name), {
      bias: this.parameters.get(`${name}.bias`),
      padding: { time: [0, 0], height: [0, 0], width: [0, 0] },
    });
  }

  /** Scale and shift of a decoder norm at the latents' resolution: a 1x1x1 convolution may go before the resizing. */
  #maps(norm: string, latents: Tensor): { scale: Tensor; shift: Tensor } {
    return this.device.scope(() => ({
      scale: this.#pointConv(`${norm}.conv_y.conv`, latents),
      shift: this.#pointConv(`${norm}.conv_b.conv`, latents),
    }));
  }
}

/** Scale and shift maps of one norm, resized to one frame at a time. */
class LatentMaps {
  readonly #device: Device;
  readonly #maps: { readonly scale: Tensor; readonly shift: Tensor };
  readonly #frames: Frames;
  #current: { readonly latent: number; readonly scaleMap: Tensor; readonly shiftMap: Tensor } | undefined;

  constructor(device: Device, maps: { readonly scale: Tensor; readonly shift: Tensor }, frames: Frames) {
    this.#device = device;
    this.#maps = maps;
    this.#frames = frames;
  }

  /** Maps `[1, 1, H, W, C]` of frame `f`, valid until the next call. Frames come in order. */
  at(f: number): { scaleMap: Tensor; shiftMap: Tensor } {
    const latent = this.#latentOf(f);
    if (this.#current?.latent !== latent) {
      this.#release();
      this.#current = {
        latent,
        scaleMap: this.#resized(this.#maps.scale, latent),
        shiftMap: this.#resized(this.#maps.shift, latent),
      };
    }
    const { scaleMap, shiftMap } = this.#current;
    return { scaleMap, shiftMap };
  }

  dispose(): void {
    this.#release();
    this.#maps.scale.dispose();
    this.#maps.shift.dispose();
  }

  #release(): void {
    this.#current?.scaleMap.dispose();
    this.#current?.shiftMap.dispose();
    this.#current = undefined;
  }

  /** Nearest latent frame. The first of an odd number of frames has its own, the others share the rest. */
  #latentOf(f: number): number {
    const latents = this.#maps.scale.dim(1);
    const frames = this.#frames.length;
    if (frames === 1 || frames % 2 === 0) return Math.floor((f * latents) / frames);
    return f === 0 ? 0 : 1 + Math.floor(((f - 1) * (latents - 1)) / (frames - 1));
  }

  #resized(map: Tensor, latent: number): Tensor {
    const [, T, h, w, channels] = map.shape as [number, number, number, number, number];
    const frame = this.#frames[0]!;
    return this.#device.scope(() => {
      const row = map.reshape([T, h, w, channels]).rows(latent, latent + 1);
      return resizeNearest(this.#device, row.reshape([1, 1, h, w, channels]), [
        1,
        frame.dim(2),
        frame.dim(3),
      ]);
    });
  }
}

/** Frees frame `f`, unless its copy comes next. */
export function release(frames: Frames, f: number): void {
  if (frames[f] !== frames[f + 1]) frames[f]!.dispose();
}
