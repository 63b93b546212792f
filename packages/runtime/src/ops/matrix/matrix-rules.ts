/** What rules for subgroup matrices share. */
import { type DeviceCapabilities, fixedSubgroupSize } from "../../device/device-info.js";

/** Why a device can not multiply f16 matrices of 16 x 16 x 16 with f32 sums in `bytes` of workgroup memory. */
export function needsMatrices(c: DeviceCapabilities, bytes: number): string | undefined {
  if (c.matrices.length === 0) return "the device has no subgroup matrices";
  if (!c.f16) return "the device has no f16 shaders";
  const { matrices, limits } = c;
  if (
    !matrices.some(
      ({ component, result, m, n, k }) =>
        component === "f16" && result === "f32" && m === 16 && n === 16 && k === 16,
    )
  ) {
    return "no f16 matrices of 16x16x16 with f32 sums";
  }
  if (fixedSubgroupSize(c) !== 32) return "made for subgroups of 32 lanes";
  return limits.maxComputeWorkgroupStorageSize < bytes
    ? `takes ${bytes} bytes of workgroup memory, the device has ${limits.maxComputeWorkgroupStorageSize}`
    : undefined;
}
