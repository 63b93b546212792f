export {
  type CountingGpu,
  type CountingGpuOptions,
  countingGpu,
  type GpuCounts,
} from "./device/counting-gpu.js";
export * from "./device/create-device.js";
export * from "./device/device.js";
export * from "./device/device-info.js";
export * from "./errors.js";
export * from "./kernel/kernel.js";
export * from "./kernel/profiler.js";
export * from "./kernel/wgsl.js";
export type { MemoryReport } from "./memory/buffer-pool.js";
export { type AttentionInput, type AttentionOutput, attention } from "./ops/attention/attention.js";
export { AttentionLayout, type AttentionRow, type TokenRange } from "./ops/attention/attention-layout.js";
export type { ConvPadding } from "./ops/conv/conv-geometry.js";
export { type ConvWeight, type PackConvWeightOptions, packConvWeight } from "./ops/conv/conv-weight.js";
export { type Conv3dOptions, type ConvTuning, conv3d } from "./ops/conv/conv3d.js";
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
export { type LinearOptions, type LinearTuning, linear } from "./ops/linear/linear.js";
export { type GroupNormOptions, groupNorm, groupNormStatistics } from "./ops/norm/group-norm.js";
export { type LayerNormOptions, layerNorm, type RmsNormOptions, rmsNorm } from "./ops/norm/row-norm.js";
export {
  averagePool,
  type ResizeNearestOptions,
  resizeNearest,
  toRgbFrames,
} from "./ops/resize/resize.js";
export { type RotaryOptions, rotary } from "./ops/rotary/rotary.js";
export { concat, pad, permute, repeatInterleave, slice } from "./ops/shape/shape-ops.js";
export { softmaxRows } from "./ops/softmax/softmax.js";
export * from "./printable.js";
export * from "./tensor/dtype.js";
export * from "./tensor/shape.js";
export * from "./tensor/tensor.js";
export * from "./weights/index.js";
