/** What differs between model families when a generation is planned: geometry, attention, tokens. */
import type { ResolvedConfig } from "./model-class.js";
import type { GenerationDefaults, ModelFamily } from "./model-description.js";
import type { RowKind } from "./parameter-list.js";

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

/** Parsed configs of a model's components by name. */
export type ComponentConfigs = Readonly<Record<string, ResolvedConfig>>;

export interface FamilyRules {
  readonly family: ModelFamily;
  readonly transformerClass: string;
  geometry(configs: ComponentConfigs): ModelGeometry;
  /** Tokens per kind that the pipeline makes of any prompt. */
  rows(configs: ComponentConfigs): TokenRows;
  attention(configs: ComponentConfigs, rows: TokenRows): AttentionShape;
  /** What the diffusers pipeline does when it is told nothing, as far as configs decide it. */
  defaults(configs: ComponentConfigs): GenerationDefaults;
  /** With guidance: both prompts in one forward pass of batch 2, or two passes one after the other. */
  readonly batchesGuidance: boolean;
}
