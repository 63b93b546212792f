/** Estimates a generation's GPU memory before it runs, and refuses what can not fit where the limit is known. */
import { totalmem } from "node:os";
import {
  type CheckpointInspection,
  describeCheckpoint,
  type MemoryEstimate,
  optionsThatFit,
} from "@lvsa/diffusion/catalog";
import { type Device, DeviceError, deviceLabel, isLvsaError } from "@lvsa/runtime";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { lvsaConfigOf } from "../options/lvsa-options.js";
import { formatBytes } from "../output/units.js";
import { planModel } from "../plan/plan.js";

/** Bytes a device has, or undefined: WebGPU does not tell, but software adapters live in main memory. */
export function deviceMemory(device: Pick<Device, "info">): number | undefined {
  return device.info.isSoftware ? totalmem() : undefined;
}

/**
 * The estimate, or undefined where the catalog does not know the model.
 *
 * @throws DeviceError `NOT_ENOUGH_MEMORY` with options that would fit
 */
export function checkMemory(
  inspection: CheckpointInspection,
  options: GenerateCommandOptions,
  device: Pick<Device, "info" | "tier">,
  available = deviceMemory(device),
): MemoryEstimate | undefined {
  const plan = planOf(inspection, options, device);
  if (!plan || available === undefined) return plan?.memory;
  const { peakBytes, peakPhase } = plan.memory;
  if (peakBytes <= available) return plan.memory;
  const fitting = optionsThatFit(plan.options, available);
  const fix = fitting
    .map(({ change, peakBytes: bytes }) => `${change} (${formatBytes(bytes)})`)
    .join(", or ");
  throw new DeviceError(
    "NOT_ENOUGH_MEMORY",
    `this generation needs about ${formatBytes(peakBytes)} (in ${peakPhase}), ${deviceLabel(device.info)} has ${formatBytes(available)}`,
    { fix: fix ? `Use ${fix}.` : "Use a device with more memory, or a smaller size." },
  );
}

function planOf(
  inspection: CheckpointInspection,
  options: GenerateCommandOptions,
  device: Pick<Device, "tier">,
) {
  try {
    const automatic = device.tier === "f16" ? "f16" : "f32";
    const settings = {
      model: describeCheckpoint(inspection),
      numFrames: options.numFrames,
      height: options.height,
      width: options.width,
      numInferenceSteps: options.steps,
      guidanceScale: options.guidance,
      guidanceScale2: options.guidance2,
      precision: options.precision === "auto" ? automatic : options.precision,
    } as const;
    const { plan } = planModel({ ...settings, lvsa: options.lvsa ? lvsaConfigOf(options) : false });
    return { memory: plan.memory, options: settings };
  } catch (error) {
    // A model that the catalog does not know may run all the same; what is wrong with the options is said later.
    if (isLvsaError(error)) return undefined;
    throw error;
  }
}
