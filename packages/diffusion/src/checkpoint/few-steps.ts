/** The few-step student that a checkpoint brings along (`few_steps` of its `lvsa.json`), and when it is what runs. */
import { type ByteSource, type FolderReader, WeightsError } from "@lvsa/runtime";
import type { LoraOptions } from "../lora/lora-set.js";
import { type FewSteps, SETTINGS_FILE } from "../models/definition/checkpoint-settings.js";
import type { GenerateOptions } from "../pipelines/video-pipeline.js";

/** Whoever gives one of these chooses how the model samples: then the model itself runs, not its student. */
const SAMPLING = [
  "numInferenceSteps",
  "guidanceScale",
  "guidanceScale2",
  "useDynamicGuidance",
  "boundaryStepIndex",
  "negativePrompt",
  "scheduler",
  "sigmas",
  "flowShift",
  "stepCache",
] as const satisfies readonly (keyof GenerateOptions)[];

/**
 * Whether a clip runs with the student where its maker may choose: unless an option says how to sample, LoRAs are given, or
 * another preset. The student's own preset asks for it, whatever else is given.
 *
 * @param loras number of LoRAs that are given
 */
export function runsInFewSteps(
  fewSteps: FewSteps | undefined,
  given: { readonly [Name in keyof GenerateOptions]?: unknown },
  loras = 0,
): fewSteps is FewSteps {
  if (!fewSteps || loras > 0) return false;
  if (given.preset !== undefined) return given.preset === fewSteps.preset;
  return SAMPLING.every((name) => given[name] === undefined);
}

/** Opens the student's LoRA. @throws WeightsError `NOT_FOUND` where the folder does not have it */
export async function openFewSteps(folder: FolderReader, { lora }: FewSteps): Promise<LoraOptions> {
  let file: ByteSource;
  try {
    file = await folder.open(lora);
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "NOT_FOUND") throw cause;
    throw new WeightsError("NOT_FOUND", `the checkpoint has no ${lora}, which its ${SETTINGS_FILE} names`, {
      where: folder.name,
      fix: "Download the whole checkpoint, or say how to sample (a number of steps): then the model itself runs.",
      cause,
    });
  }
  return { file };
}
