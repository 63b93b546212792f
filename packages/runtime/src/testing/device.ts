/** The device that GPU tests run on. `LVSA_TEST_ADAPTER` picks one as in `createDevice({ adapter })`. */
import type { Device, DeviceOptions } from "../device/device.js";
import { createDevice } from "../node/create-device.js";

/** A fresh device; dispose of it in `afterAll`. A machine without any adapter is an error, never a skip. */
export async function testDevice(options: DeviceOptions = {}): Promise<Device> {
  return createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto", ...options });
}
