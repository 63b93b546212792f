/** What a family makes of a generation's options before anything is loaded. */
import type { Scheduler } from "../schedulers/index.js";
import type { Guidance } from "./guidance.js";
import type { GenerateOptions, GenerationDefaults, GenerationResult } from "./video-pipeline.js";

/** Options with the model's defaults filled in. */
export type Settings = Omit<GenerateOptions, keyof GenerationDefaults> & GenerationDefaults;

/** What decoding needs of the settings. */
export interface LatentPlan {
  /** Of which the result has size, frames and speed. */
  readonly settings: Settings;
  /** Latents in the family's own layout. */
  readonly shape: readonly number[];
  /** Frames that the autoencoder makes of the clip; default: as many as asked for. */
  readonly frameCount?: number;
}

/** What a family makes of the settings, before anything is loaded. */
export interface ClipPlan extends LatentPlan {
  /** Of noise that conditions need, drawn before the initial latents. */
  readonly conditionNoise?: readonly number[];
  /** After `setTimesteps`. */
  readonly scheduler: Scheduler;
  readonly guidance: Guidance;
  /** For the result's metadata, besides what all families state. */
  readonly used?: GenerationResult["settings"];
  /** First step of a second transformer, where there is one. */
  readonly secondFrom?: number;
  /** What had no effect, and other remarks. */
  readonly notes: readonly string[];
}

/** Rows and tokens of a clip. */
export interface ClipSize {
  readonly latentFrames: number;
  readonly patchesPerFrame: number;
}
