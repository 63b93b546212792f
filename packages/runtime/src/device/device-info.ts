/** What an adapter is and can do, as plain data. */

/** Kernel families, from `kernels.md`: portable f32, subgroups f32, f16 tiles, subgroup matrices. */
export type KernelTier = "portable" | "subgroups" | "f16";

export interface DeviceInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** A processor pretending to be a GPU (SwiftShader, lavapipe, WARP). */
  readonly isSoftware: boolean;
  /** Fixed subgroup size, or undefined where it varies or subgroups are missing. */
  readonly subgroupSize: number | undefined;
  readonly features: readonly string[];
  readonly limits: DeviceLimits;
}

export interface DeviceLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly minStorageBufferOffsetAlignment: number;
}

export const LIMIT_NAMES = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxStorageBuffersPerShaderStage",
] as const;

/** Features that are requested when the adapter has them. */
export const WANTED_FEATURES = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
] as const;

export function describeDevice(device: GPUDevice, adapterInfo: GPUAdapterInfo): DeviceInfo {
  const { vendor, architecture, description } = adapterInfo;
  const sizes = adapterInfo as { subgroupMinSize?: number; subgroupMaxSize?: number };
  const features = [...device.features].sort();
  const fixed = sizes.subgroupMinSize === sizes.subgroupMaxSize ? sizes.subgroupMinSize : undefined;
  const text = `${vendor} ${architecture} ${adapterInfo.device} ${description}`.toLowerCase();
  return {
    vendor,
    architecture,
    device: adapterInfo.device,
    description,
    isSoftware:
      adapterInfo.isFallbackAdapter === true || /llvmpipe|lavapipe|swiftshader|basic render/.test(text),
    subgroupSize: features.includes("subgroups") && fixed ? fixed : undefined,
    features,
    limits: {
      maxBufferSize: device.limits.maxBufferSize,
      maxStorageBufferBindingSize: device.limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: device.limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: device.limits.maxComputeInvocationsPerWorkgroup,
      maxStorageBuffersPerShaderStage: device.limits.maxStorageBuffersPerShaderStage,
      minStorageBufferOffsetAlignment: device.limits.minStorageBufferOffsetAlignment,
    },
  };
}

/** The tier with the fastest kernels that are right for this device. */
export function defaultTier(info: DeviceInfo): KernelTier {
  // f16 arithmetic on a processor is many times slower than f32 there (kernels.md section 2).
  if (info.features.includes("shader-f16") && !info.isSoftware) return "f16";
  // Subgroup kernels keep one value per lane: they are made for the narrow subgroups of software adapters.
  if (info.isSoftware && info.subgroupSize !== undefined) return "subgroups";
  return "portable";
}

/** One line for logs: `llvmpipe (LLVM 19.1.7, 256 bits), software`. */
export function deviceLabel(info: DeviceInfo): string {
  const name = info.description || info.device || `${info.vendor} ${info.architecture}`.trim() || "unknown";
  return info.isSoftware ? `${name}, software` : name;
}
