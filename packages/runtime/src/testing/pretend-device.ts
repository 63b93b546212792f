/** Devices that are not here: what rules are chosen by, and shaders compiled for, without the hardware. */
import type { DeviceCapabilities, MatrixConfig } from "../device/device-info.js";

/** What every WebGPU device has. */
export const CORE_LIMITS: DeviceCapabilities["limits"] = {
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxStorageBuffersPerShaderStage: 8,
  minStorageBufferOffsetAlignment: 256,
};

/** A GPU that has nothing but core WebGPU, except what is given. */
export function pretendDevice(given: Partial<DeviceCapabilities>): DeviceCapabilities {
  return {
    hardware: "gpu",
    f16: false,
    subgroups: undefined,
    matrices: [],
    ...given,
    limits: { ...CORE_LIMITS, ...given.limits },
  };
}

const matrix = (component: string, result: string, m: number, n: number, k: number): MatrixConfig => ({
  component,
  result,
  m,
  n,
  k,
});

/** Kinds of device that there are, by what Dawn says of them. */
export const PRETEND_DEVICES: Readonly<Record<string, DeviceCapabilities>> = {
  core: pretendDevice({}),
  swiftshader: pretendDevice({ hardware: "software", subgroups: { min: 4, max: 4 } }),
  lavapipe: pretendDevice({ hardware: "software", f16: true, subgroups: { min: 8, max: 8 } }),
  "nvidia, default toggles": pretendDevice({
    subgroups: { min: 32, max: 32 },
    limits: { ...CORE_LIMITS, maxComputeWorkgroupStorageSize: 49_152 },
  }),
  nvidia: pretendDevice({
    f16: true,
    subgroups: { min: 32, max: 32 },
    matrices: [
      matrix("f16", "f32", 16, 16, 16),
      matrix("f16", "f16", 16, 16, 16),
      matrix("f16", "f32", 16, 8, 16),
      matrix("i8", "i32", 16, 16, 32),
    ],
    limits: {
      ...CORE_LIMITS,
      maxStorageBufferBindingSize: 2 ** 31,
      maxComputeWorkgroupStorageSize: 49_152,
      maxComputeInvocationsPerWorkgroup: 1024,
      minStorageBufferOffsetAlignment: 16,
    },
  }),
  apple: pretendDevice({
    f16: true,
    subgroups: { min: 32, max: 32 },
    matrices: [matrix("f32", "f32", 8, 8, 8), matrix("f16", "f16", 8, 8, 8)],
    limits: { ...CORE_LIMITS, maxComputeWorkgroupStorageSize: 32_768 },
  }),
  intel: pretendDevice({
    f16: true,
    subgroups: { min: 8, max: 32, sizeControl: true },
    matrices: [matrix("f16", "f32", 8, 16, 16)],
    limits: { ...CORE_LIMITS, maxComputeWorkgroupStorageSize: 32_768 },
  }),
  "intel, no choice of size": pretendDevice({
    f16: true,
    subgroups: { min: 8, max: 32 },
    matrices: [matrix("f16", "f32", 8, 16, 16)],
    limits: { ...CORE_LIMITS, maxComputeWorkgroupStorageSize: 32_768 },
  }),
  amd: pretendDevice({
    f16: true,
    subgroups: { min: 32, max: 64, sizeControl: true },
    matrices: [matrix("f16", "f32", 16, 16, 16), matrix("f16", "f16", 16, 16, 16)],
    limits: {
      ...CORE_LIMITS,
      maxComputeWorkgroupStorageSize: 65_536,
      maxComputeInvocationsPerWorkgroup: 1024,
    },
  }),
  "amd, subgroups of 64": pretendDevice({
    f16: true,
    subgroups: { min: 64, max: 64 },
    matrices: [matrix("f16", "f32", 16, 16, 16)],
    limits: { ...CORE_LIMITS, maxComputeWorkgroupStorageSize: 32_768 },
  }),
};
