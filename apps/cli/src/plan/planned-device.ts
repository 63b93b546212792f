/** The device that a plan is for: the one that `lvsa generate` would take with the same options. */
import { type Device, DeviceError, deviceLabel } from "@lvsa/runtime";
import { createDevice } from "@lvsa/runtime/node";
import { deviceMemory } from "../generate/memory-check.js";
import type { CommandIo } from "../io.js";
import { activationsOf, type DeviceOptions } from "../options/device-options.js";

export interface PlannedDevice extends Disposable {
  /** Undefined: no device of this machine, but a GPU with WebGPU's core limits. It lives until the plan is made. */
  readonly device: Device | undefined;
  readonly label: string;
  readonly precision: "f32" | "f16";
  /** What it is known to have. */
  readonly memoryBytes: number | undefined;
}

/** `--device` for a plan that asks no device. */
export const NO_DEVICE = "none";

/** @throws UsageError for a name that no driver has */
export async function planDevice(
  options: DeviceOptions,
  io: Pick<CommandIo, "err" | "lookForDrivers">,
): Promise<PlannedDevice> {
  const device = options.device === NO_DEVICE ? undefined : await open(options, io);
  const precision = activationsOf(options, device);
  return {
    ...{ device, precision },
    label: device ? deviceLabel(device.info) : "any GPU",
    memoryBytes: device && deviceMemory(device),
    [Symbol.dispose]: () => device?.dispose(),
  };
}

async function open(
  { device: adapter, math }: DeviceOptions,
  { err, lookForDrivers }: Pick<CommandIo, "err" | "lookForDrivers">,
): Promise<Device | undefined> {
  try {
    return await createDevice({
      adapter,
      math,
      softwareAdapter: () => import("@lvsa/software-adapter"),
      lookForDrivers,
    });
  } catch (error) {
    // Without any driver there is still a plan; `lvsa doctor` says what is missing.
    if (!(error instanceof DeviceError) || adapter !== "auto") throw error;
    err(`note: no device opens here (${error.message}); the plan is for a GPU that computes in f16.\n`);
    return undefined;
  }
}
