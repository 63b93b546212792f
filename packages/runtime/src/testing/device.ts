/** The device that GPU tests run on. `LVSA_TEST_ADAPTER` picks one as in `createDevice({ adapter })`. */
import type { Device, DeviceOptions } from "../device/device.js";
import type { AnyKernelFamily } from "../kernel/kernel-family.js";
import { createDevice } from "../node/create-device.js";

/**
 * A fresh device; dispose of it in `afterAll`. A machine without any adapter is an error, never a skip. Its math is exact
 * unless options say otherwise, so that tests ask the same of a GPU as of a software adapter.
 */
export async function testDevice(options: DeviceOptions = {}): Promise<Device> {
  return createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto", math: "exact", ...options });
}

/** Whether the device can run a family's rule; says so where it can not. */
export function canRun(device: Device, family: AnyKernelFamily, id: string): boolean {
  const reason = family.rules.find((rule) => rule.id === id)!.requires(device.info);
  if (reason !== undefined) console.warn(`skipped: ${family.name} ${id} here, ${reason}`);
  return reason === undefined;
}
