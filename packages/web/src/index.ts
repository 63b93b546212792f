export type { Preview } from "@lvsa/diffusion";
export * from "./error-codes.js";
export { droppedFiles, type GivenFiles, pickedFiles } from "./folders/picked-files.js";
export {
  type Clip,
  createGenerator,
  type GenerateHooks,
  type GeneratorOptions,
  type VideoGenerator,
} from "./generator.js";
export { keepAwake } from "./keep-awake.js";
export type { ListedFile, ModelSource, PickedFile } from "./model-source.js";
export type { ClipLora, ClipOptions, ClipPlan, ModelInfo, ModelPreset, Progress } from "./protocol.js";
export { type KeptRun, keptRuns, removeKeptRun } from "./runs/kept-runs.js";
export { freeBytes, type KeptModel, keptModels, removeKeptModel } from "./store/kept-models.js";
export { type WebgpuProblem, webgpuProblem } from "./webgpu-problem.js";
