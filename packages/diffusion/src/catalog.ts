/** Entry `@lvsa/diffusion/catalog`: what is known of models without a GPU. */

export type { DenseAndLvsa, ForwardFlops, LinearFlops } from "./catalog/flops.js";
export { findKnownModel, getKnownModel, knownModels } from "./catalog/known-models.js";
export type {
  ComponentDescription,
  GenerationDefaults,
  ModelDescription,
  ModelTask,
} from "./catalog/model-description.js";
export { type ModelShape, modelDefaults, modelShape } from "./catalog/model-shape.js";
export {
  type AttendedFrames,
  type AttendedFramesOf,
  type AttendedFramesPattern,
  type ComponentPlan,
  componentPlans,
  type GenerationPlan,
  type PlanOptions,
  planGeneration,
} from "./catalog/plan-generation.js";
export {
  BYTES_PER_ELEMENT,
  type StoredDType,
  summarizeParameters,
  type WeightSummary,
  weightsByRows,
} from "./catalog/weight-summary.js";
export { readCheckpointSettings } from "./checkpoint/checkpoint-folder.js";
export { describeCheckpoint } from "./checkpoint/describe-checkpoint.js";
export { runsInFewSteps } from "./checkpoint/few-steps.js";
export { type CheckpointInspection, inspectCheckpoint } from "./checkpoint/inspect-checkpoint.js";
export type {
  ComponentInspection,
  InspectionProblem,
  WeightFile,
} from "./checkpoint/inspect-component.js";
export {
  openQuantizable,
  type QuantizableComponent,
  quantizableComponents,
} from "./checkpoint/quantize/quantize-component.js";
export type {
  QuantizedFile,
  QuantizedFormat,
  QuantizeOptions,
} from "./checkpoint/quantize/quantize-weights.js";
export { requireWholeWeights } from "./checkpoint/require-whole-weights.js";
export {
  type CheckpointFiles,
  type ComponentFile,
  type OpenCheckpointOptions,
  type OpenedCheckpoint,
  openCheckpoint,
} from "./checkpoint/single-file/open-checkpoint.js";
export {
  checkParameters,
  type ParameterCheck,
  type WrongShape,
} from "./models/definition/check-parameters.js";
export type { CheckpointSettings, FewSteps } from "./models/definition/checkpoint-settings.js";
export type {
  ModelDefinition,
  ModelRole,
  TensorShapes,
  VideoModelDefinition,
} from "./models/definition/define-model.js";
export { elementCount, type ParameterTensor, type RowKind } from "./models/definition/parameter-list.js";
export type { ResolvedConfig } from "./models/definition/resolved-config.js";
export {
  checkVideoSize,
  frameStep,
  framesOfTokenFrames,
  nearestFrameCounts,
  nearestSizes,
  sizeMultiple,
  type VideoGrid,
  type VideoSize,
  videoGrid,
} from "./models/definition/video-grid.js";
export type {
  AttentionShape,
  ComponentConfigs,
  ModelDefaults,
  ModelFamily,
  ModelGeometry,
  TokenRows,
  VideoModel,
} from "./models/definition/video-model.js";
export { findModelClass, findVideoModel, getModelClass, modelClassNames } from "./models/model-classes.js";
