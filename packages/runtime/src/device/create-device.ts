/** From a WebGPU entry point, an adapter or a device to a `Device`. Runs anywhere; Node's door is `@lvsa/runtime/node`. */
import { DeviceError } from "../errors.js";
import { Device, type DeviceOptions } from "./device.js";
import { describeDevice, LIMIT_NAMES, WANTED_FEATURES } from "./device-info.js";

export interface CreateDeviceOptions extends DeviceOptions {
  /** An existing device. It stays the caller's: `dispose` does not destroy it. */
  readonly device?: GPUDevice;
  readonly adapter?: GPUAdapter;
  /** Entry point; default `navigator.gpu`. */
  readonly gpu?: GPU;
}

/**
 * Makes a `Device` with the adapter's own limits and every useful feature it has.
 * @throws DeviceError `NO_WEBGPU` or `NO_ADAPTER`
 */
export async function createDevice(options: CreateDeviceOptions = {}): Promise<Device> {
  if (options.device) return wrapDevice(options.device, options);
  const gpu = options.gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu;
  if (!options.adapter && !gpu) {
    throw new DeviceError("NO_WEBGPU", "this environment has no WebGPU", {
      fix: "In Node import createDevice from @lvsa/runtime/node; in a browser use a recent Chrome, Edge, Safari or Firefox over https.",
    });
  }
  const adapter = options.adapter ?? (await gpu?.requestAdapter({ powerPreference: "high-performance" }));
  if (!adapter) {
    throw new DeviceError("NO_ADAPTER", "WebGPU found no adapter", {
      fix: "Install a Vulkan, Metal or D3D12 driver, or @lvsa/software-adapter.",
    });
  }
  const requiredLimits: Record<string, number> = {};
  for (const name of LIMIT_NAMES) requiredLimits[name] = adapter.limits[name];
  requiredLimits.minStorageBufferOffsetAlignment = adapter.limits.minStorageBufferOffsetAlignment;
  const device = await adapter.requestDevice({
    requiredLimits,
    requiredFeatures: WANTED_FEATURES.filter((f) => adapter.features.has(f)) as GPUFeatureName[],
  });
  return new Device(device, describeDevice(device, adapter.info), true, options);
}

/** A `Device` around a foreign `GPUDevice`, which stays the caller's. */
export function wrapDevice(device: GPUDevice, options: DeviceOptions = {}): Device {
  return new Device(device, describeDevice(device, device.adapterInfo), false, options);
}
