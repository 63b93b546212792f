export * from "./attention/attention-config.js";
export * from "./attention/attention-dispatcher.js";
export * from "./attention/attention-processor.js";
export * from "./attention/dense-attention.js";
export * from "./engine/engine.js";
export { knownPipelines } from "./engine/pipeline-registry.js";
export * from "./engine/plugin.js";
export {
  FamilyOptions,
  generateFields,
  type OptionName,
} from "./pipelines/generate-options.js";
export { NotFiniteError } from "./pipelines/not-finite.js";
export type * from "./pipelines/video-pipeline.js";
export * from "./random/index.js";
export * from "./schedulers/index.js";
export * from "./tokenizers/index.js";
