// What adapters, hooks and users of the kernels alone need from the runtime: a foreign device, foreign buffers, the errors.
export {
  borrowTensor,
  ConfigError,
  checkOptionKinds,
  concat,
  Device,
  type DeviceOptions,
  type DType,
  type FloatDType,
  HookError,
  isLvsaError,
  LvsaError,
  type MemoryReport,
  nearestName,
  type OptionKinds,
  ShapeError,
  Tensor,
  UsageError,
  wrapDevice,
} from "@lvsa/runtime";
export { type AdapterLoader, AdapterRegistry } from "./adapter/adapter-registry.js";
export { defaultAdapterRegistry, getAdapter, registerAdapter } from "./adapter/default-registry.js";
export {
  type FallbackDetail,
  type FallbackEvent,
  type FallbackReason,
  FallbackReporter,
  type FallbackReporterOptions,
  fallbackLine,
} from "./adapter/fallback.js";
export {
  type InstallLvsaOptions,
  installLvsa,
  type LvsaHost,
  type LvsaInstallation,
} from "./adapter/install-lvsa.js";
export {
  checkFamily,
  claimLayers,
  type Installation,
  installOnAll,
  type LayerProcessor,
  type RankShard,
  shardRotary,
  shareTokens,
} from "./adapter/integration.js";
export type { EncoderQkv, LayerSteps, LvsaCall, Qkv } from "./adapter/layer-steps.js";
export {
  LvsaAttentionProcessor,
  type LvsaProcessorOptions,
  type ScheduledDenseEvent,
  type SparseCallEvent,
} from "./adapter/lvsa-attention-processor.js";
export { type AdapterOptions, ModelAdapter, type ModelDefaults } from "./adapter/model-adapter.js";
export { type FrameSparseAttentionInput, frameSparseAttention } from "./attention/frame-sparse-attention.js";
export { type FramePart, FrameSparseLayout } from "./attention/frame-sparse-layout.js";
export { attention } from "./attention/kernel/attention.js";
export type { AttentionInput, AttentionOutput } from "./attention/kernel/attention-input.js";
export { AttentionLayout, type AttentionRow, type TokenRange } from "./attention/kernel/attention-layout.js";
export { CORE_KERNELS } from "./attention/kernel/kernel-family.js";
export { type ClipPatterns, clipPatterns } from "./clip-patterns.js";
export {
  type ClipGeometry,
  installedLogLine,
  type LvsaConfig,
  type LvsaConfigInput,
  lvsaConfigSchema,
  parseLvsaConfig,
  type RankOptions,
  type ResolvedLvsaConfig,
  resolveLvsaConfig,
} from "./config.js";
export {
  type AttentionConfig,
  type BackendChoice,
  parseAttentionConfig,
} from "./contract/attention-config.js";
export {
  AttentionDispatcher,
  type BackendSelection,
  DENSE_BACKEND,
} from "./contract/attention-dispatcher.js";
export type {
  AttendedStreams,
  AttentionBackend,
  AttentionCall,
  AttentionModule,
  AttentionProcessor,
  AttentionResult,
  AttentionRole,
  BackendCall,
  BackendExtra,
  BackendRunner,
  KeyValue,
  OutputEpilogue,
  Projected,
  ProjectedStreams,
  RotaryTables,
  ShardKeys,
  StepInfo,
  VideoGeometry,
  VideoShard,
} from "./contract/attention-processor.js";
export { denseAttention, denseBackend, projectStreams, rotatedStreams } from "./contract/dense-attention.js";
export type {
  AttentionTarget,
  CheckpointGeometry,
  HostPipeline,
  PluginHost,
  TemporalFrequencies,
} from "./contract/host.js";
export { type EnginePlugin, registeredPlugins, registerPlugin } from "./contract/plugin.js";
export * from "./error-codes.js";
export {
  type ByteRange,
  type Collective,
  LocalCollective,
  rangesTarget,
  takeRanges,
} from "./parallel/collective.js";
export {
  type ContextParallelInput,
  contextParallelAttention,
  gatherGlobalTokens,
} from "./parallel/context-parallel-attention.js";
export { SequenceParallel, SequenceShard } from "./parallel/sequence-shard.js";
export { type FrameRange, shareFrames } from "./parallel/share-frames.js";
export {
  AttentionPattern,
  type AttentionPatternOptions,
  type FrameSegment,
  type GlobalContribution,
  type KeySpans,
  type TokenSpan,
} from "./pattern/attention-pattern.js";
export { buildCompactLayout, type CompactLayout, type FrameCopy } from "./pattern/compact-layout.js";
export { nearestDivisibleFrames } from "./pattern/divisibility.js";
export {
  computeLatentFrames,
  computePatchesPerFrame,
  computeReferenceLatentFrames,
  type GeometryRules,
  type HostGeometry,
} from "./pattern/geometry.js";
export {
  type AutoKeyframeOptions,
  type BoundaryGuardOptions,
  computeAutoKeyframeInterval,
  computeBoundaryGuardFrames,
  computeGlobalFrames,
  type GlobalFrameOptions,
  rotationOffsetOfStep,
} from "./pattern/global-frames.js";
export {
  MASK_COLOURS,
  type MaskCell,
  type MaskPicture,
  maskPicture,
  maskRow,
  maskSvg,
} from "./pattern/mask-picture.js";
export { type MaskSource, type MaskTextOptions, maskText } from "./pattern/mask-text.js";
export { PatternController, type PatternControllerOptions } from "./pattern/pattern-controller.js";
export {
  computeSequenceLength,
  type SequenceLength,
  type SequenceLengthOptions,
} from "./pattern/sequence-length.js";
export {
  cellCount,
  type GridFactors,
  type GridSize,
  latentFrameCount,
  latentGrid,
  type PatchSize,
  type TokenGrid,
  tokenFrameCount,
  tokenGrid,
} from "./pattern/token-grid.js";
export {
  adaptiveWindowBounds,
  expandedWindowBounds,
  type WindowBounds,
  type WindowOptions,
  windowBounds,
} from "./pattern/window.js";
export {
  applyRiflex,
  identifyIntrinsicFrequency,
  type RiflexFrequencyOptions,
  type RiflexOptions,
  type RiflexReport,
  type RotaryTable,
  riflexFrequencies,
  riflexTable,
} from "./riflex.js";
export { type ScheduledSteps, scheduledAttention, scheduleSchema, unreachedSteps } from "./schedule.js";
