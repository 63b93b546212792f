/** The device that GPU tests run on. `LVSA_TEST_ADAPTER` picks one as in `createDevice({ adapter })`. */
import type { Device } from "../device/device.js";
import type { DeviceOptions } from "../device/device-options.js";
import type { AnyKernelFamily } from "../kernel/kernel-family.js";
import { createDevice } from "../node/create-device.js";
import { failingGuards, guardedDevice } from "./guard-buffers.js";

export interface TestDeviceOptions extends DeviceOptions {
  /** `checked`: for kernels that a test writes itself, which a device that leaves indices unchecked refuses. */
  readonly bounds?: "checked";
}

/**
 * A fresh device; dispose of it in `afterAll`. A machine without any adapter is an error, never a skip. Its math is exact
 * unless options say otherwise, so that tests ask the same of a GPU as of a software adapter.
 *
 * With `LVSA_TEST_BOUNDS=unchecked` indices are not checked where a test does not ask for it, and buffers have guards: `dispose` fails where one is broken.
 */
export async function testDevice(options: TestDeviceOptions = {}): Promise<Device> {
  if (process.env.LVSA_TEST_BOUNDS === "unchecked" && options.bounds !== "checked")
    return failingGuards(await guardedDevice(options));
  return createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto", math: "exact", ...options });
}

/** Whether the device can run a family's rule; says so where it can not. */
export function canRun(device: Device, family: AnyKernelFamily, id: string): boolean {
  const reason = family.rules.find((rule) => rule.id === id)!.requires(device.info);
  if (reason !== undefined) console.warn(`skipped: ${family.name} ${id} here, ${reason}`);
  return reason === undefined;
}
