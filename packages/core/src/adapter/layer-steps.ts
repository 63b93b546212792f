/** What the sparse processor asks of whoever knows a layer: where Q, K and V come from, and where the output goes. */
import type { Device, Tensor } from "@lvsa/runtime";
import type { KeyValue, VideoShard } from "../contract/attention-processor.js";

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

/** The least of a call that the sparse processor reads; `AttentionCall` is one. */
export interface LvsaCall {
  readonly device: Device;
  /** `[B, S, C]`, S = latentFrames · patchesPerFrame. */
  readonly hiddenStates: Tensor;
  readonly geometry?: {
    readonly latentFrames: number;
    readonly patchesPerFrame: number;
    readonly conditionFrames?: readonly number[];
  };
  /** Where ranks share the clip, in place of `geometry`: `hiddenStates` are this rank's frames. */
  readonly shard?: VideoShard;
  /** Denoising step from 0; `generation` changes with every clip. */
  readonly step?: { readonly index: number; readonly count?: number; readonly generation?: number };
  /** `[S]`, 0 = a key that no query sees. A call that hides any runs dense: patterns know whole frames only. */
  readonly keyMask?: Uint8Array;
  /** Keys and values of another stream that every query sees besides its own. Beside joint text the call runs dense. */
  readonly context?: KeyValue;
  /** The text stream of joint attention. */
  readonly encoderHiddenStates?: Tensor;
  /** A causal layer runs dense. */
  readonly module?: { readonly causal?: boolean };
}

/** In the order in which the processor takes them. `ModelAdapter` has them all, by the layer's own pieces. */
export interface LayerSteps<Call extends LvsaCall, Result> {
  /** Model family, for log lines. */
  readonly family: string;
  /** Q, K, V of the video stream: projected, normalised, split into heads, not rotated. */
  extractQkv(call: Call): Qkv;
  /** Q, K, V of the text stream that is attended jointly (valid rows only); undefined where there is none. */
  extractEncoderQkv?(call: Call): EncoderQkv | undefined;
  /** `extractQkv` and `applyRotary` in fewer passes over memory, where the layer has that for this call; else undefined. */
  extractRotatedQkv?(call: Call): Qkv | undefined;
  /** Rotates Q and K of the video stream in place. */
  applyRotary(call: Call, qkv: Qkv): void;
  /** None means 1 / sqrt(D). */
  softmaxScale?(call: Call): { readonly scale?: number };
  /** Attention output to add to the video stream's, `[B, S, H, D]`. */
  crossAttention?(call: Call, query: Tensor): Tensor | undefined;
  /** Both streams' attention outputs as the layer's result. */
  formatOutput(call: Call, hidden: Tensor, encoder: Tensor | undefined): Result;
}
