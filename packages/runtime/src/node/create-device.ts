/**
 * `createDevice` for Node: drivers through the `webgpu` package (Dawn), else the embedded software adapter.
 * The object that `webgpu` returns must outlive the device (the process dies silently when it is collected), so
 * the device's owner keeps it through `NodeDevice`.
 */
import { createDevice as createNeutralDevice } from "../device/create-device.js";
import type { Device, DeviceOptions } from "../device/device.js";
import { DeviceError } from "../errors.js";
import { importOptional } from "../node-import.js";
import { importWebGpu, listAdapters } from "./list-adapters.js";

/** The part of `@lvsa/software-adapter` that is used here. */
export interface SoftwareAdapterModule {
  installSoftwareAdapter(): Promise<unknown>;
}

export interface NodeDeviceOptions extends DeviceOptions {
  /** An existing `GPUDevice`; it stays the caller's. */
  readonly device?: GPUDevice;
  /**
   * `auto` (default): the best driver found, else the embedded software adapter. `embedded`: that adapter even
   * where drivers exist. Any other text: the driver whose name contains it.
   */
  readonly adapter?: string;
  /**
   * How to load `@lvsa/software-adapter`. Default: from beside this package, else from what the application's entry
   * file can import; never from the working folder.
   */
  readonly softwareAdapter?: () => Promise<SoftwareAdapterModule>;
  /** Hears one line when the embedded software adapter is used in `auto`. */
  readonly onNotice?: (line: string) => void;
  /** Dawn toggles, e.g. `enable-dawn-features=allow_unsafe_apis`. */
  readonly dawnFlags?: readonly string[];
}

/** Dawn instances that live devices stand on. */
const instances = new WeakMap<GPUDevice, GPU>();

/** @throws DeviceError `NO_WEBGPU_PACKAGE`, `NO_ADAPTER` */
export async function createDevice(options: NodeDeviceOptions = {}): Promise<Device> {
  const deviceOptions: DeviceOptions = {
    ...(options.math ? { math: options.math } : {}),
    ...(options.rules ? { rules: options.rules } : {}),
    ...(options.profile ? { profile: true } : {}),
  };
  if (options.device) return createNeutralDevice({ ...deviceOptions, device: options.device });
  const wanted = options.adapter ?? "auto";
  const flags = options.dawnFlags ?? [];

  if (wanted !== "embedded") {
    const { gpu, adapter } = await openDawn(wanted === "auto" ? flags : [...flags, `adapter=${wanted}`]);
    if (adapter) return keep(gpu, await createNeutralDevice({ ...deviceOptions, adapter }));
    if (wanted !== "auto") {
      const names = (await listAdapters()).map(({ name }) => `"${name}"`);
      throw new DeviceError("NO_ADAPTER", `no GPU driver named "${wanted}" was found`, {
        fix: `Use "embedded" or a part of one of these names: ${names.join(", ") || "(no drivers were found)"}.`,
      });
    }
  }
  const module = await loadSoftwareAdapter(options.softwareAdapter);
  await module.installSoftwareAdapter();
  const { gpu, adapter } = await openDawn([...flags, "adapter=SwiftShader"]);
  if (!adapter) {
    throw new DeviceError("NO_ADAPTER", "the embedded software adapter was unpacked but gives no adapter", {
      fix: "Run `lvsa doctor`, and install a Vulkan driver (for example mesa-vulkan-drivers).",
    });
  }
  if (wanted === "auto") {
    options.onNotice?.(
      "No GPU driver found: using the embedded software adapter (slow; fine for small models).",
    );
  }
  return keep(gpu, await createNeutralDevice({ ...deviceOptions, adapter }));
}

async function openDawn(flags: readonly string[]): Promise<{ gpu: GPU; adapter: GPUAdapter | null }> {
  const webgpu = await importWebGpu();
  try {
    const gpu = webgpu.create([...flags]);
    return { gpu, adapter: await gpu.requestAdapter({ powerPreference: "high-performance" }) };
  } catch (error) {
    // A name that no driver has is an exception in Dawn, and not in WebGPU.
    if (!/no suitable backends/.test((error as Error).message)) throw error;
    return { gpu: webgpu.create([]), adapter: null };
  }
}

function keep(gpu: GPU, device: Device): Device {
  instances.set(device.gpu, gpu);
  return device;
}

async function loadSoftwareAdapter(
  loader: (() => Promise<SoftwareAdapterModule>) | undefined,
): Promise<SoftwareAdapterModule> {
  const packageName = "@lvsa/software-adapter";
  const found = await importOptional<SoftwareAdapterModule>(
    packageName,
    loader ?? (() => import(/* @vite-ignore */ packageName)),
  );
  if (found.module) return found.module;
  throw new DeviceError(
    "NO_ADAPTER",
    "no GPU driver was found and the embedded software adapter is not installed",
    {
      fix: "npm install @lvsa/software-adapter (Linux x64), or install a Vulkan driver (for example mesa-vulkan-drivers).",
      cause: found.cause,
    },
  );
}
