/**
 * What a model family tells LVSA about itself: how its attention layers make Q, K and V, how positions rotate
 * them, how results are projected, and how many tokens a frame has. Adapters do no attention mathematics; core
 * never sees a model. The families of methods follow the Python original's `ModelAdapter`.
 */
import type { Device, Tensor } from "@lvsa/runtime";
import type { LvsaConfigInput } from "../config.js";
import {
  computeLatentFrames,
  computePatchesPerFrame,
  computeReferenceLatentFrames,
  type GeometryRules,
  type HostGeometry,
} from "../pattern/geometry.js";
import type { LvsaAttentionProcessor } from "./lvsa-attention-processor.js";

/** `[B, S, H, D]`; key and value may have fewer heads. */
export interface Qkv {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** The text stream's part: keys and values that every video query sees, and its own queries where it has any. */
export interface EncoderQkv {
  readonly query?: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** The least a host's attention call must carry. Hosts add what their adapter needs. */
export interface LvsaCall {
  readonly device: Device;
  /** `[B, S, C]`, S = latentFrames · patchesPerFrame. */
  readonly hiddenStates: Tensor;
  readonly geometry?: { readonly latentFrames: number; readonly patchesPerFrame: number };
  /** Denoising step from 0; `generation` changes with every clip. */
  readonly step?: { readonly index: number; readonly count?: number; readonly generation?: number };
  /** `[S]`, 0 = a key that no query sees. A call that hides any runs dense: patterns know whole frames only. */
  readonly keyMask?: Uint8Array;
  /** A causal layer runs dense. */
  readonly module?: { readonly causal?: boolean };
}

/** One rank of a context-parallel run: it holds an equal, contiguous share of the video tokens. */
export interface RankShard {
  readonly rank: number;
  readonly worldSize: number;
}

/** LVSA settings that belong to the model. Users' settings go on top. */
export type ModelDefaults = Pick<LvsaConfigInput, "windowSize" | "nFirstFrames">;

/** Undoes an installation. */
export interface Installation extends Disposable {
  /** Attention layers that now run LVSA. */
  readonly blocks: number;
}

export abstract class ModelAdapter<Model, Call extends LvsaCall, Result> {
  /** Lower-case family name, e.g. `wan`. */
  abstract readonly family: string;
  /** How the checkpoint's configuration gives frames and tokens. */
  abstract readonly rules: GeometryRules;
  abstract readonly defaults: ModelDefaults;

  // Geometry

  /** Tokens of one latent frame of a clip of `height` x `width` pixels. */
  patchesPerFrame(height: number, width: number, host: HostGeometry): number {
    return computePatchesPerFrame(height, width, host, this.rules);
  }

  /** Latent frames (rows of the pattern) of `numFrames` video frames. */
  latentFrames(numFrames: number, host: HostGeometry): number {
    return computeLatentFrames(numFrames, host, this.rules);
  }

  /** Latent frames the model was trained on: from its config where that says it, else the family's number. */
  referenceLatentFrames(host: HostGeometry): number {
    return computeReferenceLatentFrames(host, this.rules);
  }

  // Projections

  /** Q, K, V of the video stream: projected, normalised, split into heads, not rotated. */
  abstract extractQkv(call: Call): Qkv;

  /** Text and image part of the encoder stream, for layers that attend to images besides. */
  splitEncoderForCrossAttn(_call: Call): { readonly text: Tensor; readonly image?: Tensor } | undefined {
    return undefined;
  }

  /** Keys and values of image tokens, or undefined where the layer has none. */
  extractCrossAttnKv(_call: Call): { readonly key: Tensor; readonly value: Tensor } | undefined {
    return undefined;
  }

  /** The layer's softmax scale; none means 1 / sqrt(D). */
  softmaxScale(_call: Call): { readonly scale?: number } {
    return {};
  }

  // Position and output

  /** Rotates Q and K of the video stream in place. A shard rotates with its own part of the tables. */
  abstract applyRotary(call: Call, qkv: Qkv, shard?: RankShard): void;

  /** Projects attention output `[B, S, H, D]` of the video stream as the layer does. */
  abstract outputProjection(call: Call, hidden: Tensor): Result;

  // Dual stream

  /** Q, K, V of the text stream that is attended jointly (valid rows only), or undefined in single-stream models. */
  extractEncoderQkv(_call: Call): EncoderQkv | undefined {
    return undefined;
  }

  /** Puts both streams' attention outputs into the layer's result. */
  formatOutput(call: Call, hidden: Tensor, _encoder: Tensor | undefined): Result {
    return this.outputProjection(call, hidden);
  }

  /** Attention output to add to the video stream's, `[B, S, H, D]`, or undefined. */
  crossAttention(_call: Call, _query: Tensor): Tensor | undefined {
    return undefined;
  }

  // Integration

  /** Puts the processor in charge of every self-attention layer of `model`. */
  abstract installProcessor(model: Model, processor: LvsaAttentionProcessor<Call, Result>): Installation;

  /**
   * Checks that a clip can be split over `worldSize` ranks and gives each rank's share of tokens.
   * @throws ConfigError with the nearest frame counts that work
   */
  abstract setupContextParallel(
    clip: { latentFrames: number; patchesPerFrame: number },
    worldSize: number,
  ): number;

  /** The rotary tables of one rank: its rows of the full tables. */
  abstract patchRotaryForCp(call: Call, shard: RankShard): Call;
}
