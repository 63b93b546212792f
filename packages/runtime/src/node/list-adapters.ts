/** Which drivers Dawn sees in this process. */
import { DeviceError } from "../errors.js";
import { importOptional } from "../node-import.js";
import { type PciCard, withPciCard } from "./pci-cards.js";

export interface AdapterName {
  /** `vulkan`, `metal`, `d3d12`, … */
  readonly backend: string;
  /** What `createDevice({ adapter })` takes. */
  readonly name: string;
}

/** Does what it is given, which looks for drivers before it returns. @internal */
export type LookForDrivers = <T>(look: () => T) => T;

/** Dawn lists the drivers it has when it is asked for one that can not exist. */
const IMPOSSIBLE = "lvsa-no-such-adapter";

/**
 * @param card what the process would see if this card were picked
 * @throws DeviceError `NO_WEBGPU_PACKAGE`
 */
export async function listAdapters(
  card?: PciCard,
  look: LookForDrivers = (body) => body(),
): Promise<AdapterName[]> {
  const { create } = await importWebGpu();
  const request = () => create([`adapter=${IMPOSSIBLE}`]).requestAdapter();
  try {
    await look(() => (card ? withPciCard(card, request) : request()));
    return [];
  } catch (error) {
    return parseAdapterList((error as Error).message);
  }
}

/** The lines ` * backend: 'vulkan', name: 'llvmpipe'` of Dawn's message. */
export function parseAdapterList(message: string): AdapterName[] {
  const found = [...message.matchAll(/backend: '([^']*)', name: '([^']*)'/g)];
  return found.map(([, backend, name]) => ({ backend: backend!, name: name! }));
}

/** @throws DeviceError `NO_WEBGPU_PACKAGE` */
export async function importWebGpu(): Promise<typeof import("webgpu")> {
  const found = await importOptional<typeof import("webgpu")>("webgpu", () => import("webgpu"));
  if (found.module) return found.module;
  throw new DeviceError("NO_WEBGPU_PACKAGE", "the package `webgpu` is not installed or does not load here", {
    fix: "npm install webgpu (Linux needs glibc 2.34 or newer; there is no Alpine build)",
    cause: found.cause,
  });
}
