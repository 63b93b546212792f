export {
  type CheckpointFiles,
  type ComponentFile,
  type OpenCheckpointOptions,
  type OpenedCheckpoint,
  openCheckpoint,
} from "./checkpoint/single-file/open-checkpoint.js";
export * from "./engine/engine.js";
export { knownPipelines, registerPipeline } from "./engine/pipeline-registry.js";
export * from "./error-codes.js";
export type { LoraOptions } from "./lora/lora-set.js";
export type { VaeTilingOptions } from "./models/autoencoders/tiling/tile-sizes.js";
export type { BlockOffload } from "./models/parameters.js";
export {
  FamilyOptions,
  generateFields,
  type OptionName,
} from "./pipelines/generate-options.js";
export { NotFiniteError } from "./pipelines/not-finite.js";
export type { ParallelOptions } from "./pipelines/parallel-run.js";
export { type SamplingPreset, samplingPresets } from "./pipelines/sampling-presets.js";
export type * from "./pipelines/video-pipeline.js";
export { type ColourMap, LatentPreview, type Preview } from "./preview/latent-preview.js";
export * from "./random/index.js";
export type { RunState } from "./run-state/run-state.js";
export { encodeRunState, readRunState } from "./run-state/run-state-file.js";
export type { PartState, Stateful } from "./run-state/stateful.js";
export * from "./schedulers/index.js";
export type { StepCacheReport } from "./step-cache/step-cache.js";
export {
  magRatiosSchema,
  STEP_CACHES,
  type StepCacheName,
  type StepCacheOptions,
} from "./step-cache/step-cache-options.js";
