/**
 * A `GPUDevice` that computes nothing and remembers no contents: it takes commands, counts what a program creates, and
 * hands back zeros. A plan runs the program on it to know its memory, at real sizes and within a second. Like a real
 * queue it lags behind: memory of a destroyed buffer comes back only when work that was submitted before has passed,
 * which here is when somebody waits for it.
 */
import { checkOptionKinds } from "../errors.js";
import { Device } from "./device.js";
import type { DeviceInfo, DeviceLimits } from "./device-info.js";
import { DEVICE_KINDS, type DeviceOptions } from "./device-options.js";

export interface CountingGpuOptions extends DeviceOptions {
  readonly limits?: Partial<DeviceLimits>;
  readonly features?: readonly string[];
  /** Pretend this device, so that the same kernels are chosen. Default: a GPU without features. */
  readonly info?: DeviceInfo;
  /** More than this at a time is out of memory. Default: no bound. */
  readonly memoryBytes?: number;
}

export interface GpuCounts {
  readonly buffers: number;
  readonly bytes: number;
  readonly dispatches: number;
  readonly submits: number;
}

export interface CountingGpu {
  readonly device: Device;
  /** Buffers and bytes created, dispatches and submits since it was made. */
  readonly created: GpuCounts;
  /** What a driver would show: bytes that exist, or were destroyed while earlier work had not passed. */
  readonly driverBytes: number;
  readonly driverPeakBytes: number;
  resetPeak(): void;
}

const GIB = 2 ** 30;
const LIMITS: DeviceLimits = {
  maxBufferSize: 16 * GIB,
  maxStorageBufferBindingSize: 2 * GIB,
  maxComputeWorkgroupStorageSize: 48 * 1024,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxStorageBuffersPerShaderStage: 16,
  minStorageBufferOffsetAlignment: 16,
};

/**
 * Pretends to be a GPU (not a software adapter) of the given limits. The device is the caller's to dispose.
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export function countingGpu(options: CountingGpuOptions = {}): CountingGpu {
  checkOptionKinds(
    {
      ...DEVICE_KINDS,
      ...{ limits: "object", features: "array", info: "object", memoryBytes: "number" },
    },
    options,
    "countingGpu",
  );
  const counts = { buffers: 0, bytes: 0, dispatches: 0, submits: 0 };
  let exists = 0;
  let peak = 0;
  let unpassed: number[] = [];
  let outOfMemory = false;
  let isBusy = false;
  const passed = () => {
    isBusy = false;
    for (const bytes of unpassed) exists -= bytes;
    unpassed = [];
  };
  const createBuffer = ({ size, label = "" }: GPUBufferDescriptor) => {
    counts.buffers += 1;
    counts.bytes += size;
    if (options.memoryBytes !== undefined && exists + size > options.memoryBytes) outOfMemory = true;
    exists += size;
    peak = Math.max(peak, exists);
    let isDestroyed = false;
    return {
      size,
      label,
      destroy: () => {
        if (isDestroyed) return;
        isDestroyed = true;
        if (isBusy) unpassed.push(size);
        else exists -= size;
      },
      mapAsync: async () => passed(),
      getMappedRange: (_offset = 0, bytes = size) => new ArrayBuffer(bytes),
      unmap: () => undefined,
    };
  };
  const pass = {
    setPipeline: () => undefined,
    setBindGroup: () => undefined,
    dispatchWorkgroups: () => {
      counts.dispatches += 1;
    },
    end: () => undefined,
  };
  const encoder = {
    beginComputePass: () => pass,
    copyBufferToBuffer: () => undefined,
    clearBuffer: () => undefined,
    finish: () => ({}),
  };
  const scopes: string[] = [];
  const empty = () => ({});
  const gpu = {
    limits: { ...(options.info?.limits ?? LIMITS), ...options.limits },
    features: new Set(options.features ?? options.info?.features ?? []),
    lost: new Promise(() => undefined),
    queue: {
      writeBuffer: () => {
        isBusy = true;
      },
      submit: () => {
        isBusy = true;
        counts.submits += 1;
      },
      onSubmittedWorkDone: async () => passed(),
    },
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    destroy: () => undefined,
    pushErrorScope: (filter: string) => scopes.push(filter),
    popErrorScope: async () => {
      if (scopes.pop() !== "out-of-memory" || !outOfMemory) return null;
      outOfMemory = false;
      return { message: "no memory left on the counting GPU" };
    },
    createBuffer,
    createShaderModule: () => ({ getCompilationInfo: async () => ({ messages: [] }) }),
    createBindGroupLayout: empty,
    createPipelineLayout: empty,
    createComputePipeline: empty,
    createComputePipelineAsync: async () => ({}),
    createBindGroup: empty,
    createCommandEncoder: () => encoder,
  };
  const info: DeviceInfo = {
    vendor: "counting",
    architecture: "",
    device: "",
    description: "counting GPU",
    hardware: "gpu",
    f16: false,
    subgroups: undefined,
    matrices: [],
    ...options.info,
    features: [...gpu.features],
    limits: gpu.limits,
  };
  return {
    device: new Device(gpu as unknown as GPUDevice, info, true, options),
    get created() {
      return { ...counts };
    },
    get driverBytes() {
      return exists;
    },
    get driverPeakBytes() {
      return peak;
    },
    resetPeak: () => {
      peak = exists;
    },
  };
}
