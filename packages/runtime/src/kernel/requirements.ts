/** Requirements that rules of several families share: why a device can not run them, or should not; else undefined. */
import { type DeviceCapabilities, fixedSubgroupSize } from "../device/device-info.js";

/** For kernels that keep a query, a row or a position per lane, and broadcast lane by lane. */
export const narrowSubgroups = {
  requires(c: DeviceCapabilities): string | undefined {
    const size = fixedSubgroupSize(c);
    if (size === undefined) return "the device has no subgroups of fixed size";
    return size > 16 ? `made for subgroups of up to 16 lanes, the device has ${size}` : undefined;
  },
  avoids({ hardware }: DeviceCapabilities): string | undefined {
    return hardware === "software" ? undefined : "without workgroup memory, for software adapters";
  },
} as const;

/** The subgroup size, where kernels for narrow subgroups are the device's best. */
export function narrowSubgroupSize(c: DeviceCapabilities): number | undefined {
  return (narrowSubgroups.requires(c) ?? narrowSubgroups.avoids(c)) ? undefined : fixedSubgroupSize(c);
}

/** For kernels that hold values as f16. */
export const f16Values = {
  requires: ({ f16 }: DeviceCapabilities) => (f16 ? undefined : "the device has no f16 shaders"),
  avoids: ({ hardware }: DeviceCapabilities) =>
    hardware === "gpu" ? undefined : "f16 is far slower than f32 on a processor",
} as const;

/** For kernels whose threads share a row or a chunk through workgroup memory. */
export const sharedWork = {
  requires: () => undefined,
  avoids: ({ hardware }: DeviceCapabilities) =>
    hardware === "gpu" ? undefined : "sharing between threads costs more than it saves on a processor",
} as const;

/** For kernels that need nothing but core WebGPU. */
export const coreOnly = { requires: () => undefined } as const;
