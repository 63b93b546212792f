/** Which weights a clip runs with: the model's own, those of the few-step student that comes with it, or with LoRAs added. */
import { type LoraOptions, samplingPresets } from "@lvsa/diffusion";
import { type ModelDescription, runsInFewSteps } from "@lvsa/diffusion/catalog";
import { type MergedTensors, mergedTensors } from "@lvsa/diffusion/rehearsal";
import { type FolderReader, quoted, UsageError } from "@lvsa/runtime";
import { fileSource } from "../folders/file-folders.js";
import type { ClipLora, ClipOptions, ModelPreset } from "../protocol.js";

export interface ClipWeights {
  readonly isStudent: boolean;
  readonly loras: readonly ClipLora[];
  /** The same for the same weights. */
  readonly key: string;
  /** What the preset that runs says of steps and guidance; nothing without one. */
  readonly sampling: Partial<Pick<ModelPreset, "numInferenceSteps" | "guidanceScale">>;
}

/** @throws UsageError `BAD_OPTION` for LoRAs without their files */
export function clipWeights({ fewSteps }: ModelDescription, asked: Partial<ClipOptions>): ClipWeights {
  const { loras = [] } = asked;
  for (const lora of loras) checkLora(lora);
  const isStudent = runsInFewSteps(fewSteps, asked, loras.length);
  const preset = asked.preset ?? (isStudent ? fewSteps.preset : undefined);
  const { numInferenceSteps, guidanceScale } = samplingPresets[preset ?? ""]?.options ?? {};
  const files = loras.map(({ file, weight = 1 }) => [file.name, file.size, file.lastModified, weight]);
  return {
    isStudent,
    loras,
    key: JSON.stringify([isStudent, files]),
    sampling: {
      ...(numInferenceSteps === undefined ? {} : { numInferenceSteps }),
      ...(guidanceScale === undefined ? {} : { guidanceScale }),
    },
  };
}

/** For an engine, which closes the files. */
export function openLoras(loras: readonly ClipLora[]): LoraOptions[] {
  return loras.map(({ file, weight = 1 }) => ({ file: fileSource(file, file.name), weight }));
}

/**
 * What the LoRAs change, for a plan of the memory.
 * @throws WeightsError `LORA_UNKNOWN_KEY`, `LORA_INCOMPLETE`, `LORA_WRONG_SHAPE` naming keys
 */
export async function changedTensors(
  folder: FolderReader,
  { fewSteps }: ModelDescription,
  { isStudent, loras }: ClipWeights,
): Promise<MergedTensors | undefined> {
  const files = isStudent && fewSteps ? [{ file: await folder.open(fewSteps.lora) }] : openLoras(loras);
  return files.length > 0 ? mergedTensors(folder, files, "stored") : undefined;
}

/** A run that was kept has their names: who goes on with it gives the files again. */
function checkLora({ file, weight = 1 }: ClipLora): void {
  if (!(file instanceof Blob)) {
    const { name } = Object(file) as { name?: unknown };
    throw new UsageError("BAD_OPTION", `loras: the file ${quoted(String(name ?? "?"))} is not there.`, {
      fix: "Give each LoRA as a File that was picked or dropped.",
    });
  }
  if (typeof weight !== "number" || !Number.isFinite(weight))
    throw new UsageError("BAD_OPTION", `loras: ${quoted(file.name)}: the weight is ${String(weight)}.`, {
      fix: "Give a finite number.",
    });
}

/** Presets of the family, for whoever lets people choose. */
export function presetsOf(family: string): ModelPreset[] {
  return Object.entries(samplingPresets).flatMap(([name, { description, families, options }]) => {
    const { numInferenceSteps, guidanceScale } = options;
    return families.includes(family) ? [{ name, description, numInferenceSteps, guidanceScale }] : [];
  });
}
