/** What an adapter is and can do, as plain data. */

/** What kernels are chosen by. Tests pretend other devices with it. */
export interface DeviceCapabilities {
  /** `software`: a processor pretending to be a GPU (SwiftShader, lavapipe, WARP). */
  readonly hardware: "gpu" | "software";
  /** Shaders can compute in f16. */
  readonly f16: boolean;
  /**
   * Smallest and largest number of lanes per subgroup, and whether a shader can ask for one between them; undefined:
   * shaders can not use subgroups.
   */
  readonly subgroups: { readonly min: number; readonly max: number; readonly sizeControl?: true } | undefined;
  /** Products that subgroups compute at once; none: shaders can not use subgroup matrices. */
  readonly matrices: readonly MatrixConfig[];
  readonly limits: DeviceLimits;
}

/** One product of a subgroup: an `m x k` times a `k x n` matrix of `component`, summed in `result`. */
export interface MatrixConfig {
  readonly component: string;
  readonly result: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export interface DeviceInfo extends DeviceCapabilities {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  readonly features: readonly string[];
}

export interface DeviceLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  /** Threads of a workgroup in one row, as all of ours are. */
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly minStorageBufferOffsetAlignment: number;
}

export const LIMIT_NAMES = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxStorageBuffersPerShaderStage",
] as const;

/** Features that are requested when the adapter has them. */
export const WANTED_FEATURES = [
  "shader-f16",
  "subgroups",
  "subgroup-size-control",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
] as const;

/** Parts of `GPUAdapterInfo` that the type package does not know yet, or not everywhere. */
interface SubgroupInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

/** A processor pretending to be a GPU. */
export function isSoftwareAdapter(info: GPUAdapterInfo): boolean {
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  return info.isFallbackAdapter === true || /llvmpipe|lavapipe|swiftshader|basic render/.test(text);
}

export function describeDevice(device: GPUDevice, adapterInfo: GPUAdapterInfo): DeviceInfo {
  const { vendor, architecture, description } = adapterInfo;
  const { subgroupMinSize: min, subgroupMaxSize: max, subgroupMatrixConfigs } = adapterInfo as SubgroupInfo;
  const features = [...device.features].sort();
  const sizeControl = features.includes("subgroup-size-control");
  const hasMatrices = features.includes("chromium-experimental-subgroup-matrix");
  return {
    vendor,
    architecture,
    device: adapterInfo.device,
    description,
    hardware: isSoftwareAdapter(adapterInfo) ? "software" : "gpu",
    f16: features.includes("shader-f16"),
    subgroups:
      features.includes("subgroups") && min && max
        ? { min, max, ...(sizeControl ? { sizeControl } : {}) }
        : undefined,
    matrices: hasMatrices
      ? Array.from(subgroupMatrixConfigs ?? [], ({ componentType, resultComponentType, M, N, K }) => ({
          component: componentType,
          result: resultComponentType,
          m: M,
          n: N,
          k: K,
        }))
      : [],
    features,
    limits: {
      maxBufferSize: device.limits.maxBufferSize,
      maxStorageBufferBindingSize: device.limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: device.limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: Math.min(
        device.limits.maxComputeInvocationsPerWorkgroup,
        device.limits.maxComputeWorkgroupSizeX,
      ),
      maxStorageBuffersPerShaderStage: device.limits.maxStorageBuffersPerShaderStage,
      minStorageBufferOffsetAlignment: device.limits.minStorageBufferOffsetAlignment,
    },
  };
}

/** The subgroup size, where it is one and the same for every shader. */
export function fixedSubgroupSize({ subgroups }: DeviceCapabilities): number | undefined {
  return subgroups && subgroups.min === subgroups.max ? subgroups.min : undefined;
}

/** One line for logs: `llvmpipe (LLVM 19.1.7, 256 bits), software`. */
export function deviceLabel(info: DeviceInfo): string {
  const name = info.description || info.device || `${info.vendor} ${info.architecture}`.trim() || "unknown";
  return info.hardware === "software" ? `${name}, software` : name;
}
