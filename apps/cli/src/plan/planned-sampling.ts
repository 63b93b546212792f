/** How `lvsa generate` samples with the options of a plan: a checkpoint's student has steps, guidance and weights of its own. */

import { samplingPresets } from "@lvsa/diffusion";
import { runsInFewSteps } from "@lvsa/diffusion/catalog";
import type { MergedTensors } from "@lvsa/diffusion/rehearsal";
import { mergedBy } from "../generate/memory-check.js";
import type { PlanCommandOptions } from "../options/plan-options.js";
import type { ResolvedModel } from "./resolve-model.js";

export interface PlannedSampling {
  readonly numInferenceSteps: number | undefined;
  readonly guidanceScale: number | undefined;
  /** Weights that a student's LoRA is added to. */
  readonly merged?: MergedTensors | undefined;
  /** The student's preset; absent where the model itself runs. */
  readonly preset?: string;
}

/** @throws WeightsError where the student's LoRA is missing or damaged */
export async function plannedSampling(
  { folder, student }: Pick<ResolvedModel, "folder" | "student">,
  options: PlanCommandOptions,
): Promise<PlannedSampling> {
  const { steps: numInferenceSteps, guidance: guidanceScale } = options;
  const given = {
    ...{ numInferenceSteps, guidanceScale, guidanceScale2: options.guidance2 },
    ...{ negativePrompt: options.negativePrompt, stepCache: options.stepCache },
  };
  const preset = student && samplingPresets[student.preset];
  if (!folder || !preset || !runsInFewSteps(student, given)) return { numInferenceSteps, guidanceScale };
  return {
    numInferenceSteps: preset.options.numInferenceSteps,
    guidanceScale: preset.options.guidanceScale,
    merged: await mergedBy(folder, {
      ...options,
      lora: [{ path: student.lora, weight: 1 }],
      lora2: undefined,
    }),
    preset: student.preset,
  };
}
