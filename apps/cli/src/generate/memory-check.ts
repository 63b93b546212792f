/** Knows a generation's GPU memory before it runs, and refuses what can not fit where the limit is known. */
import { totalmem } from "node:os";
import { type CheckpointInspection, describeCheckpoint } from "@lvsa/diffusion/catalog";
import {
  type FittingOption,
  optionsThatFit,
  type Rehearsal,
  type RehearsalOptions,
  rehearse,
} from "@lvsa/diffusion/rehearsal";
import { activationDType, type Device, DeviceError, deviceLabel, isLvsaError } from "@lvsa/runtime";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { formatBytes } from "../output/units.js";

/** Bytes a device has, or undefined: WebGPU does not tell, but software adapters live in main memory. */
export function deviceMemory(device: Pick<Device, "info">): number | undefined {
  return device.info.hardware === "software" ? totalmem() : undefined;
}

/** What needs more than a device has. `what` needs it in `phase`. */
export function notEnoughMemory(
  what: string,
  phase: { readonly name: string; readonly bytes: number },
  device: Pick<Device, "info">,
  available: number,
  fix: string,
): DeviceError {
  const has = `${deviceLabel(device.info)} has ${formatBytes(available)}`;
  return new DeviceError(
    "NOT_ENOUGH_MEMORY",
    `${what} needs about ${formatBytes(phase.bytes)} (in ${phase.name}), ${has}`,
    { fix },
  );
}

/**
 * What the generation will take, memory and kernels, or undefined where the catalog does not know the model.
 *
 * @throws DeviceError `NOT_ENOUGH_MEMORY` with options that would fit; `BINDING_TOO_LARGE` or `BUFFER_TOO_LARGE` for one
 *   tensor that it can not take
 */
export async function checkMemory(
  inspection: CheckpointInspection,
  options: GenerateCommandOptions,
  device: Pick<Device, "info" | "math">,
  available = deviceMemory(device),
  image?: RehearsalOptions["image"],
): Promise<Rehearsal | undefined> {
  let settings: RehearsalOptions;
  let rehearsal: Rehearsal;
  try {
    settings = {
      model: describeCheckpoint(inspection),
      numFrames: options.numFrames,
      height: options.height,
      width: options.width,
      image,
      guidanceScale: options.guidance,
      precision: options.precision === "auto" ? activationDType(device) : options.precision,
      device,
    };
    rehearsal = await rehearse(settings);
  } catch (error) {
    // A model that the catalog does not know may run all the same; what is wrong with the options is said later. What
    // the device can not hold is said now.
    if (isLvsaError(error) && !(error instanceof DeviceError)) return undefined;
    throw error;
  }
  const { peakBytes, peakPhase } = rehearsal.memory;
  if (available === undefined || peakBytes <= available) return rehearsal;
  const fitting = await optionsThatFit(settings, available);
  const fix = fitting.map((option) => `${asTyped(option)} (${formatBytes(option.peakBytes)})`).join(", or ");
  throw notEnoughMemory(
    "this generation",
    { name: peakPhase, bytes: peakBytes },
    device,
    available,
    fix ? `Use ${fix}.` : "Use a device with more memory, or a smaller size.",
  );
}

/** Changes as the command line writes them. */
function asTyped({ precision, storedDType, numFrames }: FittingOption): string {
  const words = [
    precision && `--precision ${precision}`,
    storedDType && `a checkpoint stored in ${storedDType}`,
  ].filter(Boolean);
  const text = words.join(" with ");
  if (numFrames === undefined) return text;
  return text ? `${text} and --num-frames ${numFrames}` : `--num-frames ${numFrames}`;
}
