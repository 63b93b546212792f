export * from "./engine/engine.js";
export { knownPipelines } from "./engine/pipeline-registry.js";
export type * from "./pipelines/video-pipeline.js";
export * from "./prompts/index.js";
export * from "./random/index.js";
export * from "./schedulers/index.js";
