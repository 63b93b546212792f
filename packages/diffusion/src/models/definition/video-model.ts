/** What a transformer's definition says of the videos it makes: grid, tokens, attention, defaults. */

import type { RowKind } from "./parameter-list.js";
import type { ResolvedConfig } from "./resolved-config.js";

export type ModelFamily = "wan" | "hunyuan" | "cogvideox" | "cosmos3";

/** From pixels and video frames to tokens. */
export interface ModelGeometry {
  /** Pixels per latent cell and edge. */
  readonly vaeSpatial: number;
  /** Video frames per latent frame (after the first, which stands alone). */
  readonly vaeTemporal: number;
  /** Latent cells per token and edge. */
  readonly patch: number;
  /** Latent frames per token frame. */
  readonly patchT: number;
  readonly latentChannels: number;
  readonly transformerInChannels: number;
  /** Latents are `[B, T, C, h, w]` instead of `[B, C, T, h, w]`. */
  readonly framesFirst: boolean;
  /** A frame that does not divide into patches is filled up, instead of being refused. */
  readonly padsPatches: boolean;
  /** Token frames of the training length. */
  readonly referenceTokenFrames: number;
  /** Settings of LVSA in video frames, where the checkpoint states them. */
  readonly lvsa?: { readonly windowSize?: number; readonly nFirstFrames?: number };
}

/** Tokens that each kind of conditioning has; `sample` and `video` are not in it. */
export type TokenRows = Readonly<Partial<Record<RowKind, number>>>;

export interface AttentionShape {
  /**
   * `self + cross`: video attends to itself, and to text in layers of its own. `joint`: video and text attend to both.
   * `two streams`: text attends to earlier text, video to both.
   */
  readonly kind: "self + cross" | "joint" | "two streams";
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly layers: number;
  /** Text tokens among the keys of the video's attention. */
  readonly jointTextTokens: number;
  /** Tokens of each cross-attention. */
  readonly crossTokens: TokenRows;
  /** Tokens of each layer that refines the prompt by dense self-attention. */
  readonly refinerTokens: readonly number[];
}

/** Settings of one generation. Those of a model are what its diffusers pipeline does when it is told nothing. */
export interface ModelDefaults {
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  /** Video frames. */
  readonly numFrames: number;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  /** Frames per second of the written file. */
  readonly fps: number;
  readonly negativePrompt: string;
  /** Tokens at which prompts are cut. */
  readonly maxSequenceLength: number;
}

/** Pixels. */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

/** Tokens that a model sees at once. */
export interface TokenExtent {
  readonly tokenFrames: number;
  readonly patchRows: number;
  readonly patchColumns: number;
  readonly patchesPerFrame: number;
}

/** Parsed configs of a model's components by name. */
export type ComponentConfigs = Readonly<Record<string, ResolvedConfig>>;

export interface VideoModel {
  readonly family: ModelFamily;
  geometry(configs: ComponentConfigs): ModelGeometry;
  /**
   * Tokens per kind that the pipeline makes of any prompt: what it is filled up to, or cut to.
   * @param maxSequenceLength default: that of `defaults`
   */
  rows(configs: ComponentConfigs, maxSequenceLength?: number): TokenRows;
  attention(configs: ComponentConfigs, rows: TokenRows): AttentionShape;
  /** What the diffusers pipeline does when it is told nothing, as far as configs decide it. */
  defaults(configs: ComponentConfigs): ModelDefaults;
  /** Of a video that begins with such an image, in pixels, where the family takes it from there. Default: `defaults`. */
  sizeOfImage?(configs: ComponentConfigs, image: ImageSize): ImageSize;
  /**
   * Default: positions have no end, as those of HunyuanVideo 1.5 and Cosmos 3, which diffusers computes for any clip.
   * @throws UsageError `BAD_FRAME_COUNT`, `BAD_SIZE` where the model has none for some tokens
   */
  checkPositions?(configs: ComponentConfigs, tokens: TokenExtent): void;
}
