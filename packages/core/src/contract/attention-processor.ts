/**
 * The attention seam: what a layer hands to whoever computes its attention.
 *
 * Two levels, as in diffusers. A *processor* or *hook* sees the layer's streams and decides how Q, K and V are
 * made and used (`AttentionCall`); a *backend* sees finished Q, K and V and runs a kernel (`BackendCall`).
 * Geometry and step index come with each call, so nothing has to be guessed or counted.
 */
import type { Device, Tensor } from "@lvsa/runtime";
import type { FrameRange } from "../parallel/share-frames.js";
import type { AttentionPattern } from "../pattern/attention-pattern.js";

/** What a layer's attention is for; picks the backend. Models may add roles of their own. */
export type AttentionRole = "self" | "cross" | "joint" | (string & {});

/** How the video tokens of a stream are laid out: frame by frame, each frame row by row. */
export interface VideoGeometry {
  /** Latent frames after temporal patching: rows of the sparse pattern. */
  readonly latentFrames: number;
  /** Tokens of one latent frame. */
  readonly patchesPerFrame: number;
  /** Token grid of one frame. */
  readonly height: number;
  readonly width: number;
  /**
   * Rows of the pattern whose content is given and not denoised (the first frame of image to video), ascending; LVSA
   * makes them global frames. Default: none.
   */
  readonly conditionFrames?: readonly number[];
}

export interface StepInfo {
  /** Denoising step, from 0. */
  readonly index: number;
  /** Number of steps of this generation. */
  readonly count: number;
  /** Changes with every generation: processors reset what they remember when it does. */
  readonly generation: number;
}

/** Rotary tables `[tokens, headDim / 2]`, f32, one row per video token. */
export interface RotaryTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** `[B, S, H, D]` each; key and value may have fewer heads. Normalised, not yet rotated. */
export interface Projected {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
}

/** Finished keys and values `[B, L, Hkv, D]`: normalised and rotated. */
export interface KeyValue {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** Keys and values of some of a clip's frames, frame after frame. */
export interface ShardKeys extends KeyValue {
  /** Which frames, ascending. */
  readonly frames: readonly number[];
}

/** One rank's frames of a clip that ranks share. */
export interface VideoShard {
  /** Of the whole clip. */
  readonly geometry: VideoGeometry;
  /** Frames of this rank. */
  readonly frames: FrameRange;
  /** Tokens of this rank. */
  readonly tokens: number;
  /**
   * Keys and values that this rank's queries see, of its own finished ones `[1, tokens, H, D]`. Recorded; every rank must
   * record it with the same pattern.
   * @param pattern of the whole clip; undefined: all frames, in the order of the clip
   */
  keys(device: Device, own: KeyValue, pattern?: AttentionPattern): ShardKeys;
}

/** Q, K, V of a call: of the video stream, and of the encoder (text) stream where that is attended jointly. */
export interface ProjectedStreams extends Projected {
  readonly encoder?: Projected;
}

/** What the output projection adds in its own store: `residual + gate * projection`. */
export interface OutputEpilogue {
  readonly residual: Tensor;
  /** `[G, C]`, rows grouped as in `linear`. */
  readonly gate?: Tensor;
  /** Where the sum goes, of the residual's shape; not the residual itself. Default: a new tensor. */
  readonly out?: Tensor;
}

export interface AttentionCall {
  readonly device: Device;
  /** Model family: `wan`, `hunyuan`, `cogvideox`, `cosmos3`, … */
  readonly family: string;
  readonly module: AttentionModule;
  /** Video stream `[B, S, C]` (for cross attention: the stream that asks). */
  readonly hiddenStates: Tensor;
  /** Text stream `[B, L, C]`: joint attention's second stream, or what cross attention looks at. */
  readonly encoderHiddenStates?: Tensor;
  /** What another stream has ready: every query sees it besides the keys of its own stream. Not owned by the call. */
  readonly context?: KeyValue;
  readonly rotary?: RotaryTables;
  /** Present where the stream is video, all of the clip. */
  readonly geometry?: VideoGeometry;
  /**
   * In place of `geometry` where ranks share the clip: the stream and the rotary tables are those of this rank's frames.
   * Keys of other ranks come when this rank's are finished (`keys`).
   */
  readonly shard?: VideoShard;
  readonly step?: StepInfo;
  /** `[S]`, 1 = attended, 0 = hidden from every query: padding among the keys of `hiddenStates`' own stream. Default: none. */
  readonly keyMask?: Uint8Array;
  /** Set by a hook to replace the layer's own projections. */
  readonly projected?: ProjectedStreams;
  readonly epilogue?: OutputEpilogue;
  /** Second epilogue, of the encoder stream's output projection. */
  readonly encoderEpilogue?: OutputEpilogue;
}

export interface AttentionResult {
  /** Video stream after the output projection (and epilogue), `[B, S, C]`. */
  readonly hiddenStates: Tensor;
  /** Encoder stream after its output projection, where attention is joint. */
  readonly encoderHiddenStates?: Tensor;
}

/** Attention outputs before the output projection: `[B, S, H, D]` and, for joint attention, `[B, L, H, D]`. */
export interface AttendedStreams {
  readonly hidden: Tensor;
  readonly encoder?: Tensor;
}

/** One attention layer of a model: the pieces a processor puts together. */
export interface AttentionModule {
  /** Path in the checkpoint, e.g. `blocks.3.attn1`. */
  readonly name: string;
  /** Index among the layers of its role. */
  readonly index: number;
  readonly role: AttentionRole;
  /** Where a role has no entry in the attention config, this one counts. For roles that models add. */
  readonly category?: AttentionRole;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly scale: number;
  readonly causal: boolean;
  /** Q, K, V of the stream that asks: projected and normalised, not rotated. */
  project(call: AttentionCall): Projected;
  /** Those of the encoder (text) stream, where attention is joint; undefined when the call has none. */
  projectEncoder?(call: AttentionCall): Projected | undefined;
  /**
   * `project`, and `rotate` with the call's tables, in fewer passes over memory: queries and keys come normalised and
   * rotated. Taken where nobody has to see them in between; absent where there is nothing to gain.
   */
  projectRotated?(call: AttentionCall): Projected;
  /** Rotates queries and keys in place. Nothing happens without tables. */
  rotate(streams: ProjectedStreams, rotary: RotaryTables | undefined): void;
  /** The layer's own dense attention on rotated streams, through the backend of its role. */
  attend(call: AttentionCall, streams: ProjectedStreams, run: BackendRunner): AttendedStreams;
  /** Output projections, with the call's epilogues. */
  output(call: AttentionCall, attended: AttendedStreams): AttentionResult;
}

/** Computes a call. `next` is what would run without this processor, in the end the layer's dense path. */
export type AttentionProcessor = (
  call: AttentionCall,
  next: (call: AttentionCall) => AttentionResult,
) => AttentionResult;

/** Finished Q, K, V for a kernel. */
export interface BackendCall {
  readonly device: Device;
  readonly module: AttentionModule;
  readonly role: AttentionRole;
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  /** Further keys and values that every query sees. */
  readonly contextKey?: Tensor;
  readonly contextValue?: Tensor;
  readonly scale: number;
  readonly causal: boolean;
  /** `[Lk]`, 1 = attended; of `key`, not of the context. */
  readonly keyMask?: Uint8Array;
  /** What the attention config says besides the backend's name. */
  readonly extra?: BackendExtra;
  /** Present when the queries are video tokens in frame order. */
  readonly geometry?: VideoGeometry;
  readonly step?: StepInfo;
}

/** Settings of a backend for one role; the backend checks them itself. */
export type BackendExtra = Readonly<Record<string, unknown>>;

export type BackendRunner = (call: BackendCall) => Tensor;

/** A kernel by name, with what it can do; constraints are checked before it runs. */
export interface AttentionBackend {
  /** Head sizes it takes; absent = any. */
  readonly headDims?: readonly number[];
  /** Default false. */
  readonly supportsCausal?: boolean;
  /** Whether it honours `keyMask`. Default false. */
  readonly supportsMask?: boolean;
  /** `[B, S, H, D]`. `dense` runs the built-in kernel on the same call. */
  run(call: BackendCall, dense: BackendRunner): Tensor;
}
