/** Knows a generation's GPU memory before it runs, and refuses what can not fit where the limit is known. */
import { freemem, totalmem } from "node:os";
import { type BlockOffload, type StepCacheOptions, samplingPresets } from "@lvsa/diffusion";
import {
  type CheckpointInspection,
  describeCheckpoint,
  type ModelDescription,
} from "@lvsa/diffusion/catalog";
import {
  type BudgetedRehearsal,
  type MergedTensors,
  mergedTensors,
  promptTokens,
  type RehearsalOptions,
  rehearseWithin,
} from "@lvsa/diffusion/rehearsal";
import { type Device, DeviceError, deviceLabel, type FolderReader, isLvsaError } from "@lvsa/runtime";
import { activationsOf } from "../options/device-options.js";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { tilingOf } from "../options/tiling-options.js";
import { formatBytes } from "../output/units.js";
import { fittingText } from "../plan/fitting-text.js";
import { openLoras } from "./loras.js";

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
  budget?: number,
): DeviceError {
  const has =
    budget === available
      ? `--memory-budget allows ${formatBytes(budget)}`
      : `${deviceLabel(device.info)} has ${formatBytes(available)}`;
  return new DeviceError(
    "NOT_ENOUGH_MEMORY",
    `${what} needs about ${formatBytes(phase.bytes)} (in ${phase.name}), ${has}`,
    { fix },
  );
}

/**
 * What the generation will take, memory and kernels, within `--memory-budget` and what the device is known to have, or
 * undefined where the catalog does not know the model. Blocks are streamed where that alone makes it fit.
 *
 * @throws DeviceError `NOT_ENOUGH_MEMORY` with options that would fit; `BINDING_TOO_LARGE` or `BUFFER_TOO_LARGE` for one
 *   tensor that it can not take
 */
export async function checkMemory(
  inspection: CheckpointInspection,
  options: GenerateCommandOptions,
  device: Pick<Device, "info" | "math">,
  {
    folder,
    available = deviceMemory(device),
    image,
  }: {
    readonly folder: FolderReader;
    readonly available?: number | undefined;
    readonly image?: RehearsalOptions["image"];
  },
): Promise<BudgetedRehearsal | undefined> {
  const { memoryBudget: budget } = options;
  const limits = [available, budget].filter((bytes) => bytes !== undefined);
  const limit = limits.length > 0 ? Math.min(...limits) : undefined;
  let rehearsal: BudgetedRehearsal;
  try {
    const { prompt = "", negativePrompt, maxSequenceLength } = options;
    const model = withTextLength(describeCheckpoint(inspection), maxSequenceLength);
    const settings: RehearsalOptions = {
      model,
      numFrames: options.numFrames,
      windowFrames: options.windowFrames,
      height: options.height,
      width: options.width,
      image,
      guidanceScale: options.guidance ?? samplingPresets[options.preset ?? ""]?.options.guidanceScale,
      guidanceBatch: options.guidanceBatch,
      precision: activationsOf(options, device),
      offload: options.offload,
      vaeTiling: tilingOf(options),
      contextParallelSize: options.contextParallelSize,
      stepCache: stepCacheName(options),
      merged: await mergedBy(folder, options),
      device,
    };
    rehearsal = await rehearseWithin(settings, limit);
    // With as many tokens as a prompt may have it does not fit: this one may have fewer.
    if (rehearsal.fitting) {
      const tokens = await promptTokens(folder, model, { ...settings, prompt, negativePrompt });
      rehearsal = await rehearseWithin({ ...settings, tokens }, limit);
    }
  } catch (error) {
    // A model that the catalog does not know may run all the same; what is wrong with the options is said later. What
    // the device can not hold is said now.
    if (isLvsaError(error) && !(error instanceof DeviceError)) return undefined;
    throw error;
  }
  if (!rehearsal.fitting) return rehearsal;
  const fix = rehearsal.fitting
    .map((option) => `${fittingText(option)} (${formatBytes(option.peakBytes)})`)
    .join(", or ");
  const { peakBytes, peakPhase } = rehearsal.memory;
  throw notEnoughMemory(
    "this generation",
    { name: peakPhase, bytes: peakBytes },
    device,
    limit!,
    fix ? `Use ${fix}.` : "Use a device with more memory, or a smaller size.",
    budget,
  );
}

/** The model with another number of tokens at which prompts are cut. */
export function withTextLength(
  model: ModelDescription,
  maxSequenceLength: number | undefined,
): ModelDescription {
  if (maxSequenceLength === undefined) return model;
  return { ...model, defaults: { ...model.defaults, maxSequenceLength } };
}

export function stepCacheName({
  stepCache,
}: Pick<GenerateCommandOptions, "stepCache">): RehearsalOptions["stepCache"] {
  // The schema has made an object of a text.
  return (stepCache as StepCacheOptions | undefined)?.name;
}

/** What LoRAs are added to, as a rehearsal takes it; undefined without any. */
export async function mergedBy(
  folder: FolderReader,
  options: Pick<GenerateCommandOptions, "lora" | "lora2" | "precision">,
): Promise<MergedTensors | undefined> {
  const loras = await openLoras(options);
  if (loras.length === 0) return undefined;
  return mergedTensors(folder, loras, options.precision === "f32" ? "f32" : "stored");
}

/**
 * How blocks are streamed: those that fit half of the free main memory stay there once they were read. Memory of a
 * software adapter is main memory itself: nothing is kept there.
 */
export function blockOffload({ info }: Pick<Device, "info">): BlockOffload {
  return { cacheBytes: info.hardware === "software" ? 0 : Math.floor(freemem() / 2) };
}
