export { checkOptions } from "./check-options.js";
export {
  type CountingGpu,
  type CountingGpuOptions,
  countingGpu,
  type GpuCounts,
} from "./device/counting-gpu.js";
export * from "./device/create-device.js";
export * from "./device/device.js";
export * from "./device/device-info.js";
export * from "./device/device-options.js";
export { disposeTensors, type ScopeResult } from "./device/tensor-scopes.js";
export * from "./error-codes.js";
export * from "./errors.js";
export * from "./kernel/kernel.js";
export * from "./kernel/kernel-family.js";
export * from "./kernel/profiler.js";
export * from "./kernel/requirements.js";
export * from "./kernel/wgsl.js";
export * from "./kernel/wgsl-text.js";
export * from "./kernel/wgsl-threads.js";
export type { MemoryReport } from "./memory/buffer-pool.js";
export * from "./nearest-name.js";
export type { ConvPadding } from "./ops/conv/conv-geometry.js";
export { type ConvWeight, type PackConvWeightOptions, packConvWeight } from "./ops/conv/conv-weight.js";
export {
  type Conv3dOptions,
  type ConvTuning,
  conv3d,
  convOperandDType,
  convWeightDType,
} from "./ops/conv/conv3d.js";
export {
  activate,
  add,
  addScaled,
  affine,
  cast,
  channelAffine,
  clamp,
  type ElementwiseOptions,
  multiply,
} from "./ops/elementwise/elementwise.js";
export { type EmbeddingOptions, embedding } from "./ops/embedding/embedding.js";
export { countNotFinite } from "./ops/finite/finite.js";
export { RUNTIME_KERNELS } from "./ops/kernel-families.js";
export { type LinearOptions, type LinearTuning, linear } from "./ops/linear/linear.js";
export { widenPacked } from "./ops/linear/widen-packed.js";
export * from "./ops/matrix/matrix-rules.js";
export * from "./ops/matrix/matrix-tile.wgsl.js";
export { type GroupNormOptions, groupNorm, groupNormStatistics } from "./ops/norm/group-norm.js";
export { type NormRotaryOptions, normRotary } from "./ops/norm/norm-rotary.js";
export { type LayerNormOptions, layerNorm, type RmsNormOptions, rmsNorm } from "./ops/norm/row-norm.js";
export { type AbsoluteSums, absoluteSums } from "./ops/reduce/absolute-sums.js";
export {
  averagePool,
  type ResizeNearestOptions,
  resizeNearest,
  toRgbFrames,
} from "./ops/resize/resize.js";
export { type RotaryOptions, rotary } from "./ops/rotary/rotary.js";
export { type RowRange, rowChunks } from "./ops/row-chunks.js";
export { concat, pad, permute, repeatInterleave, slice, updateSlice } from "./ops/shape/shape-ops.js";
export { softmaxRows } from "./ops/softmax/softmax.js";
export * from "./printable.js";
export * from "./tensor/dtype.js";
export * from "./tensor/shape.js";
export * from "./tensor/tensor.js";
export * from "./weights/index.js";
