/**
 * `createDevice` for Node: drivers through the `webgpu` package (Dawn), else the embedded software adapter.
 * The object that `webgpu` returns must outlive the device: the process dies silently when it is collected.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { checkOptions } from "../check-options.js";
import { createDevice as createNeutralDevice } from "../device/create-device.js";
import type { Device } from "../device/device.js";
import { isSoftwareAdapter } from "../device/device-info.js";
import type { DeviceOptions } from "../device/device-options.js";
import { nodeDeviceSchema } from "../device/device-options-schema.js";
import { DeviceError, UsageError } from "../errors.js";
import { importOptional } from "../node-import.js";
import { importWebGpu, type LookForDrivers, listAdapters } from "./list-adapters.js";
import {
  checkPciCard,
  findPciCard,
  isPciAddress,
  listPciCards,
  type PciCard,
  withPciCard,
} from "./pci-cards.js";
import { proofFile, rememberedProof } from "./proof-cache.js";

/** The part of `@lvsa/software-adapter` that is used here. */
export interface SoftwareAdapterModule {
  installSoftwareAdapter(): Promise<unknown>;
}

export interface NodeDeviceOptions extends DeviceOptions {
  /** An existing `GPUDevice`; it stays the caller's. */
  readonly device?: GPUDevice;
  /**
   * `auto` (default): the best driver found, else the embedded software adapter. `embedded`: that adapter even
   * where drivers exist. `pci:0000:3b:00.0`: the card at this PCI address (Linux, with Mesa's Vulkan layer for device
   * selection), for several equal ones. Any other text: the driver whose name contains it.
   */
  readonly adapter?: string;
  /**
   * How to load `@lvsa/software-adapter`. Default: from beside this package, else from what the application's entry
   * file can import; never from the working folder.
   */
  readonly softwareAdapter?: () => Promise<SoftwareAdapterModule>;
  /**
   * Ask Dawn for what it does not offer by default: subgroup matrices everywhere, f16 on NVIDIA. Both are tried on small
   * products before they are used. Default true.
   */
  readonly experimental?: boolean;
  /**
   * `auto` (default): a GPU leaves the indices of shaders unchecked (checks cost matrix products a third of their speed); such
   * a device runs only kernels that are known to stay inside of their tensors (`inBounds`), as all of this library's
   * do. `checked`: it checks them, for kernels of your own. `unchecked`: processors do not either.
   */
  readonly bounds?: "auto" | "checked" | "unchecked";
  /** Where what was tried is remembered. Default: `proofs.json` in the user's cache folder for `lvsa`. */
  readonly proofFile?: string;
  /** Hears one line when the embedded software adapter is used in `auto`, or when a GPU does something wrong. */
  readonly onNotice?: (line: string) => void;
  /** Dawn toggles, e.g. `enable-dawn-features=allow_unsafe_apis`. */
  readonly dawnFlags?: readonly string[];
  /**
   * Called with each look for drivers, which it has to do: drivers write to standard error by themselves then.
   * @internal
   */
  readonly lookForDrivers?: LookForDrivers | undefined;
}

/** Dawn instances that live devices stand on. */
const instances = new WeakMap<GPUDevice, GPU>();

/**
 * @throws DeviceError `NO_WEBGPU_PACKAGE`, `NO_ADAPTER`; UsageError `BAD_OPTION` for options that are unknown or of another kind,
 *   `NO_SUCH_ADAPTER` for a name that no driver has; for a PCI
 *   address UsageError `UNKNOWN_CARD`, DeviceError `CARD_NOT_SHOWN`
 */
export async function createDevice(options: NodeDeviceOptions = {}): Promise<Device> {
  checkOptions(nodeDeviceSchema, options, "createDevice");
  const deviceOptions: DeviceOptions = {
    ...(options.math ? { math: options.math } : {}),
    ...(options.rules ? { rules: options.rules } : {}),
    ...(options.profile ? { profile: true } : {}),
  };
  if (options.device) return createNeutralDevice({ ...deviceOptions, device: options.device });
  const wanted = options.adapter ?? "auto";
  const flags = dawnFlags(options);
  const look = options.lookForDrivers;
  const trying = {
    ...deviceOptions,
    prove: (device: Device) => rememberedProof(device, options.proofFile ?? proofFile(), dawnVersion()),
    ...(options.onNotice ? { onNotice: options.onNotice } : {}),
  };

  if (wanted !== "embedded") {
    const cards = isPciAddress(wanted) ? await listPciCards() : [];
    const card = isPciAddress(wanted) ? findPciCard(wanted, cards) : undefined;
    const named = wanted === "auto" || card ? flags : [...flags, `adapter=${wanted}`];
    const { gpu, adapter } = await openDawn(named, card, look);
    if (adapter && card) checkPciCard(card, await driverNames(card, look), adapter.info.vendor, cards);
    if (adapter && leavesUnchecked(options, adapter)) {
      const free = await openDawn([...named, UNCHECKED], card, look);
      if (free.adapter) {
        return keep(
          free.gpu,
          await createNeutralDevice({ ...trying, adapter: free.adapter, unchecked: true }),
        );
      }
    }
    if (adapter) return keep(gpu, await createNeutralDevice({ ...trying, adapter }));
    if (wanted !== "auto") {
      const names = (await listAdapters(undefined, look)).map(({ name }) => `"${name}"`);
      throw new UsageError("NO_SUCH_ADAPTER", `no GPU driver named "${wanted}" was found`, {
        fix: `Use "embedded" or a part of one of these names: ${names.join(", ") || "(no drivers were found)"}.`,
      });
    }
  }
  const module = await loadSoftwareAdapter(options.softwareAdapter);
  await module.installSoftwareAdapter();
  const unchecked = options.bounds === "unchecked";
  const swiftShader = [...flags, "adapter=SwiftShader", ...(unchecked ? [UNCHECKED] : [])];
  const { gpu, adapter } = await openDawn(swiftShader, undefined, look);
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
  return keep(
    gpu,
    await createNeutralDevice({ ...deviceOptions, adapter, ...(unchecked ? { unchecked } : {}) }),
  );
}

const ENABLE = "enable-dawn-features=";
const UNCHECKED = `${ENABLE}disable_robustness`;
const EXPERIMENTAL = ["allow_unsafe_apis", "vulkan_enable_f16_on_nvidia"];

/** Without Dawn's clamps every index of a shader must be right by itself. */
function leavesUnchecked(
  { bounds = "auto", experimental = true }: NodeDeviceOptions,
  adapter: GPUAdapter,
): boolean {
  return bounds === "unchecked" || (bounds === "auto" && experimental && !isSoftwareAdapter(adapter.info));
}

/** Dawn reads one list of toggles to enable: ours and the caller's together. */
function dawnFlags({ dawnFlags = [], experimental = true }: NodeDeviceOptions): string[] {
  return joined([...dawnFlags, ...(experimental ? [`${ENABLE}${EXPERIMENTAL.join(",")}`] : [])]);
}

function joined(dawnFlags: readonly string[]): string[] {
  const given = dawnFlags.filter((flag) => flag.startsWith(ENABLE));
  const toggles = given.flatMap((flag) => flag.slice(ENABLE.length).split(","));
  const others = dawnFlags.filter((flag) => !flag.startsWith(ENABLE));
  return toggles.length > 0 ? [...others, `${ENABLE}${[...new Set(toggles)].join(",")}`] : others;
}

/** Of the package `webgpu`, where it can be read. */
function dawnVersion(): string {
  try {
    const path = createRequire(import.meta.url).resolve("webgpu/package.json");
    return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
  } catch {
    return "unknown";
  }
}

async function openDawn(
  flags: readonly string[],
  card?: PciCard,
  look: LookForDrivers = (body) => body(),
): Promise<{ gpu: GPU; adapter: GPUAdapter | null }> {
  const webgpu = await importWebGpu();
  // Drivers are looked for before `requestAdapter` returns.
  const request = () => {
    const gpu = webgpu.create(joined(flags));
    return { gpu, requested: gpu.requestAdapter({ powerPreference: "high-performance" }) };
  };
  try {
    const { gpu, requested } = look(() => (card ? withPciCard(card, request) : request()));
    return { gpu, adapter: await requested };
  } catch (error) {
    // A name that no driver has is an exception in Dawn, and not in WebGPU.
    if (!/no suitable backends/.test((error as Error).message)) throw error;
    return { gpu: webgpu.create([]), adapter: null };
  }
}

/** Drivers that the process sees while a card is picked. */
async function driverNames(card: PciCard, look: LookForDrivers | undefined): Promise<string[]> {
  return (await listAdapters(card, look)).map(({ name }) => name);
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
