/** From a WebGPU entry point, an adapter or a device to a `Device`. Runs anywhere; Node's door is `@lvsa/runtime/node`. */
import { DeviceError } from "../errors.js";
import { checkOptionKinds, type OptionKinds } from "../option-kinds.js";
import { Device } from "./device.js";
import { type DeviceInfo, describeDevice, deviceLabel, LIMIT_NAMES, WANTED_FEATURES } from "./device-info.js";
import { DEVICE_KINDS, type DeviceOptions } from "./device-options.js";
import { type Disproof, disprove, provenCapabilities } from "./proof.js";

export interface CreateDeviceOptions extends DeviceOptions {
  /** An existing device. It stays the caller's: `dispose` does not destroy it. */
  readonly device?: GPUDevice;
  readonly adapter?: GPUAdapter;
  /** Entry point; default `navigator.gpu`. */
  readonly gpu?: GPU;
  /** Tries what a GPU claims before it is used. Default: `disprove`. Not asked for a foreign device. */
  readonly prove?: (device: Device) => Promise<Disproof>;
  /** Hears one line for each thing that a device claims and does wrong. */
  readonly onNotice?: (line: string) => void;
}

const CREATE_KINDS: OptionKinds<CreateDeviceOptions> = {
  ...DEVICE_KINDS,
  ...{ prove: "function", onNotice: "function" },
  device: { method: "createBuffer", named: "a GPUDevice" },
  adapter: { method: "requestDevice", named: "a GPUAdapter" },
  gpu: { method: "requestAdapter", named: "a GPU (`navigator.gpu`)" },
};

/**
 * Makes a `Device` with the adapter's own limits and every useful feature it has.
 * @throws DeviceError `NO_WEBGPU` or `NO_ADAPTER`; UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export async function createDevice(options: CreateDeviceOptions = {}): Promise<Device> {
  checkOptionKinds(CREATE_KINDS, options, "createDevice");
  if (options.device) return around(options.device, options);
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
  const claimed = describeDevice(device, adapter.info);
  return new Device(device, await proven(device, claimed, options), true, options);
}

/** The device's description without what it does wrong. On processors, where no kernel uses f16, nothing is tried. */
async function proven(
  gpu: GPUDevice,
  claimed: DeviceInfo,
  { prove = disprove, onNotice, unchecked }: CreateDeviceOptions,
): Promise<DeviceInfo> {
  if (claimed.hardware === "software" || !(claimed.f16 || claimed.matrices.length > 0)) return claimed;
  const trial = new Device(gpu, claimed, false, { unchecked: unchecked ?? false });
  const disproof = await prove(trial);
  trial.dispose();
  for (const [what, reason] of Object.entries(disproof)) {
    const name = what === "f16" ? "f16 shaders" : "subgroup matrices";
    onNotice?.(`${deviceLabel(claimed)}: ${name} are not used, ${reason}`);
  }
  return { ...claimed, ...provenCapabilities(disproof) };
}

/**
 * A `Device` around a foreign `GPUDevice`, which stays the caller's.
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export function wrapDevice(device: GPUDevice, options: DeviceOptions = {}): Device {
  checkOptionKinds(DEVICE_KINDS, options, "wrapDevice");
  return around(device, options);
}

function around(device: GPUDevice, options: DeviceOptions): Device {
  return new Device(device, describeDevice(device, device.adapterInfo), false, options);
}
