export * from "./engine/engine.js";
export { knownPipelines } from "./engine/pipeline-registry.js";
export * from "./error-codes.js";
export {
  FamilyOptions,
  generateFields,
  type OptionName,
} from "./pipelines/generate-options.js";
export { NotFiniteError } from "./pipelines/not-finite.js";
export type * from "./pipelines/video-pipeline.js";
export * from "./prompts/index.js";
export * from "./random/index.js";
export * from "./schedulers/index.js";
