/** Knows a generation's GPU memory before it runs, and refuses what can not fit where the limit is known. */
import { totalmem } from "node:os";
import { type CheckpointInspection, describeCheckpoint } from "@lvsa/diffusion/catalog";
import {
  type MemoryPlan,
  optionsThatFit,
  type RehearsalOptions,
  rehearseMemory,
} from "@lvsa/diffusion/rehearsal";
import { activationDType, type Device, DeviceError, deviceLabel, isLvsaError } from "@lvsa/runtime";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { formatBytes } from "../output/units.js";

/** Bytes a device has, or undefined: WebGPU does not tell, but software adapters live in main memory. */
export function deviceMemory(device: Pick<Device, "info">): number | undefined {
  return device.info.hardware === "software" ? totalmem() : undefined;
}

/**
 * What the generation will take, or undefined where the catalog does not know the model.
 *
 * @throws DeviceError `NOT_ENOUGH_MEMORY` with options that would fit
 */
export async function checkMemory(
  inspection: CheckpointInspection,
  options: GenerateCommandOptions,
  device: Pick<Device, "info" | "math">,
  available = deviceMemory(device),
): Promise<MemoryPlan | undefined> {
  const settings = settingsOf(inspection, options, device);
  const memory = settings && (await rehearse(settings));
  if (!memory || available === undefined || memory.peakBytes <= available) return memory;
  const fitting = await optionsThatFit(settings, available);
  const fix = fitting
    .map(({ change, peakBytes: bytes }) => `${change} (${formatBytes(bytes)})`)
    .join(", or ");
  throw new DeviceError(
    "NOT_ENOUGH_MEMORY",
    `this generation needs about ${formatBytes(memory.peakBytes)} (in ${memory.peakPhase}), ${deviceLabel(device.info)} has ${formatBytes(available)}`,
    { fix: fix ? `Use ${fix}.` : "Use a device with more memory, or a smaller size." },
  );
}

function settingsOf(
  inspection: CheckpointInspection,
  options: GenerateCommandOptions,
  device: Pick<Device, "info" | "math">,
): RehearsalOptions | undefined {
  return unlessUnknown(() => ({
    model: describeCheckpoint(inspection),
    numFrames: options.numFrames,
    height: options.height,
    width: options.width,
    guidanceScale: options.guidance,
    precision: options.precision === "auto" ? activationDType(device) : options.precision,
    device,
  }));
}

async function rehearse(settings: RehearsalOptions): Promise<MemoryPlan | undefined> {
  try {
    return await rehearseMemory(settings);
  } catch (error) {
    return unlessUnknown(() => {
      throw error;
    });
  }
}

/**
 * A model that the catalog does not know may run all the same; what is wrong with the options is said later. A tensor that
 * the device can not bind is said now.
 */
function unlessUnknown<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (isLvsaError(error) && error.code !== "BINDING_TOO_LARGE") return undefined;
    throw error;
  }
}
