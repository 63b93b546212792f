/** Entry `@lvsa/diffusion/catalog`: what is known of models without a GPU. */

export {
  checkParameters,
  type ParameterCheck,
  type WrongShape,
} from "./catalog/checkpoint/check-parameters.js";
export { describeCheckpoint } from "./catalog/checkpoint/describe-checkpoint.js";
export { type CheckpointInspection, inspectCheckpoint } from "./catalog/checkpoint/inspect-checkpoint.js";
export type {
  ComponentInspection,
  InspectionProblem,
  WeightFile,
} from "./catalog/checkpoint/inspect-component.js";
export type {
  AttentionShape,
  ComponentConfigs,
  FamilyRules,
  ModelGeometry,
  TokenRows,
} from "./catalog/family-rules.js";
export type { DenseAndLvsa, ForwardFlops, LinearFlops } from "./catalog/flops.js";
export { findKnownModel, getKnownModel, knownModels } from "./catalog/known-models.js";
export type { ModelClass, ModelRole, ResolvedConfig, TensorShapes } from "./catalog/model-class.js";
export { findModelClass, getModelClass, modelClassNames } from "./catalog/model-classes.js";
export type {
  ComponentDescription,
  GenerationDefaults,
  ModelDescription,
  ModelFamily,
  ModelTask,
} from "./catalog/model-description.js";
export { familyOfTransformer, type ModelShape, modelShape } from "./catalog/model-shape.js";
export { elementCount, type ParameterTensor, type RowKind } from "./catalog/parameter-list.js";
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
  checkVideoSize,
  frameStep,
  framesOfTokenFrames,
  nearestFrameCounts,
  nearestSizes,
  sizeMultiple,
  type VideoGrid,
  type VideoSize,
  videoGrid,
} from "./catalog/video-grid.js";
export {
  BYTES_PER_ELEMENT,
  type StoredDType,
  summarizeParameters,
  type WeightSummary,
  weightsByRows,
} from "./catalog/weight-summary.js";
