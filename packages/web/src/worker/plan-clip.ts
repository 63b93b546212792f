/** What a clip will take, before it runs: frames, tokens, operations, time, memory, and the picture of its pattern. */
import { type ClipPatterns, clipPatterns, type LvsaConfigInput, maskSvg } from "@lvsa/core";
import { framesOfTokenFrames, type ModelDescription, planGeneration } from "@lvsa/diffusion/catalog";
import {
  type FittingOption,
  optionsThatFit,
  type RehearsalOptions,
  rehearseMemory,
} from "@lvsa/diffusion/rehearsal";
import { activationDType, type Device, isLvsaError } from "@lvsa/runtime";
import type { ClipOptions, ClipPlan } from "../protocol.js";

export interface PlanClipOptions {
  readonly model: ModelDescription;
  readonly device: Device;
  readonly options: ClipOptions;
  readonly merged: RehearsalOptions["merged"];
  /** Operations per second. */
  readonly speed: number;
  readonly speedFrom: ClipPlan["secondsFrom"];
  readonly availableBytes: number | undefined;
}

/** @throws ConfigError for sizes and settings that do not fit the model */
export async function planClip(asked: PlanClipOptions): Promise<ClipPlan> {
  const { model, device, options, availableBytes } = asked;
  const settings = lvsaSettings(options.lvsa);
  let patterns: ClipPatterns | undefined;
  const { numFrames, height, width, guidanceScale } = options;
  const plan = planGeneration({
    model,
    numFrames,
    height,
    width,
    guidanceScale,
    numInferenceSteps: options.numInferenceSteps,
    lvsa:
      settings &&
      ((grid, geometry) => {
        patterns = clipPatterns(
          { ...geometry.lvsa, ...settings },
          {
            latentFrames: grid.tokenFrames,
            patchesPerFrame: grid.patchesPerFrame,
            referenceLatentFrames: geometry.referenceTokenFrames,
            temporalFactor: geometry.vaeTemporal,
          },
        );
        return patterns;
      }),
  });
  const { grid } = plan;
  const rehearsal: RehearsalOptions = {
    model,
    numFrames: grid.numFrames,
    height: grid.height,
    width: grid.width,
    guidanceScale,
    guidanceBatch: options.guidanceBatch,
    precision: activationDType(device),
    merged: asked.merged,
    device,
  };
  const memory = await memoryOf(rehearsal);
  const fits = availableBytes === undefined || memory.peakBytes <= availableBytes;
  // Clips in a worker do not stream the transformer's blocks, nor decode in tiles, so that is no way out here.
  const fitting = fits
    ? []
    : (await optionsThatFit(rehearsal, availableBytes)).filter(
        ({ offload, vaeTiling, windowFrames }) => !offload && !vaeTiling && windowFrames === undefined,
      );
  const planned = Number(settings ? plan.totalFlops.lvsa : plan.totalFlops.dense);
  const density = settings ? plan.attended.density : 1;
  return {
    numFrames: grid.numFrames,
    height: grid.height,
    width: grid.width,
    fps: options.fps ?? model.defaults.fps,
    steps: plan.steps,
    latentFrames: grid.latentFrames,
    tokens: grid.videoTokens,
    horizon: plan.horizon,
    density,
    flops: { dense: Number(plan.totalFlops.dense), planned },
    seconds: planned / asked.speed,
    secondsFrom: asked.speedFrom,
    peakBytes: memory.peakBytes,
    peakPhase: memory.peakPhase,
    availableBytes,
    fits: fits && memory.refusal === undefined,
    fitting: fitting.map((option) => ({
      ...(option.numFrames === undefined ? {} : { numFrames: option.numFrames }),
      words: inWords(option),
      peakBytes: option.peakBytes,
    })),
    maskSvg: patterns && maskSvg(patterns.patternOfStep(0), maskLabel(patterns)),
    ...(memory.refusal === undefined ? {} : { refusal: memory.refusal }),
  };
}

/** The user's settings, on top of the model's own; undefined: dense. */
export function lvsaSettings(lvsa: ClipOptions["lvsa"]): LvsaConfigInput | undefined {
  if (!lvsa) return undefined;
  return lvsa === true ? {} : lvsa;
}

/** Video frames of the training length. */
export function trainingFrames(geometry: Parameters<typeof framesOfTokenFrames>[1]): number {
  return framesOfTokenFrames(geometry.referenceTokenFrames, geometry);
}

/** A tensor that the device can not take is found by the rehearsal, too. */
async function memoryOf(
  options: RehearsalOptions,
): Promise<{ peakBytes: number; peakPhase: string; refusal?: string }> {
  try {
    return await rehearseMemory(options);
  } catch (error) {
    if (!isLvsaError(error) || !/^(BINDING|BUFFER)_TOO_LARGE$/.test(error.code)) throw error;
    return { peakBytes: Number.POSITIVE_INFINITY, peakPhase: "denoising", refusal: error.message };
  }
}

function inWords({ precision, storedDType, numFrames }: FittingOption): string {
  const parts = [
    numFrames !== undefined && `${numFrames} frame${numFrames === 1 ? "" : "s"}`,
    precision && "half precision",
    storedDType && `weights stored in ${storedDType}`,
  ];
  return parts.filter(Boolean).join(" with ");
}

function maskLabel({ config }: ClipPatterns): string {
  return `Which of ${config.frames} latent frames attend to which`;
}
