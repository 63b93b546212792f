// What adapters, hooks and users of the kernels alone need from the runtime: a foreign device, foreign buffers, the errors.
export {
  borrowTensor,
  ConfigError,
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
  ShapeError,
  Tensor,
  UsageError,
  wrapDevice,
} from "@lvsa/runtime";
export * from "./adapter/adapter-registry.js";
export * from "./adapter/default-registry.js";
export * from "./adapter/fallback.js";
export * from "./adapter/install-lvsa.js";
export * from "./adapter/integration.js";
export * from "./adapter/lvsa-attention-processor.js";
export * from "./adapter/model-adapter.js";
export * from "./attention/frame-sparse-attention.js";
export * from "./attention/frame-sparse-layout.js";
export { type AttentionInput, type AttentionOutput, attention } from "./attention/kernel/attention.js";
export { AttentionLayout, type AttentionRow, type TokenRange } from "./attention/kernel/attention-layout.js";
export { CORE_KERNELS } from "./attention/kernel/kernel-family.js";
export * from "./config.js";
export * from "./contract/attention-config.js";
export * from "./contract/attention-dispatcher.js";
export * from "./contract/attention-processor.js";
export * from "./contract/dense-attention.js";
export * from "./contract/host.js";
export * from "./contract/plugin.js";
export * from "./parallel/collective.js";
export * from "./parallel/context-parallel-attention.js";
export * from "./pattern/attention-pattern.js";
export * from "./pattern/compact-layout.js";
export * from "./pattern/divisibility.js";
export * from "./pattern/geometry.js";
export * from "./pattern/global-frames.js";
export * from "./pattern/mask-text.js";
export * from "./pattern/pattern-controller.js";
export * from "./pattern/sequence-length.js";
export * from "./pattern/window.js";
export * from "./riflex.js";
