/** Which checkpoint runs, and whether its files are whole. */
import { join, resolve } from "node:path";
import { DEMO_CLIP } from "@lvsa/demo-wan";
import { type FewSteps, readCheckpointSettings, runsInFewSteps } from "@lvsa/diffusion/catalog";
import type { FolderReader } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { BUNDLED_MODEL } from "../bundled-model.js";
import { openModel } from "../checkpoint/open-model.js";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { generationOptions } from "../options/generation-flags.js";
import { givenComponents, type ModelOptions } from "../options/model-options.js";

export interface CheckpointChoice {
  readonly folder: FolderReader;
  /** For metadata and messages. */
  readonly name: string;
  /** Nothing was chosen. */
  readonly isBundled: boolean;
  /** The few-step student that a whole folder brings along, with the path of its LoRA. */
  readonly student: FewSteps | undefined;
}

/** What is compared and calibrated without `--model`: the model itself, in fewer steps than it has. */
const BUNDLED_DEFAULTS = { ...DEMO_CLIP, steps: 12 } as const;

/** @throws ConfigError, WeightsError as `openModel`; ConfigError `BAD_CONFIG` of the folder's lvsa.json */
export async function chooseCheckpoint(options: ModelOptions): Promise<CheckpointChoice> {
  if (options.model !== undefined || givenComponents(options).length > 0) {
    const { folder, name, path } = await openModel(options);
    return { folder, name, isBundled: false, student: await studentIn(folder, path) };
  }
  const folder = nodeFolder(BUNDLED_MODEL);
  return { folder, name: "demo-wan", isBundled: true, student: await studentIn(folder, BUNDLED_MODEL) };
}

/** Where a choice lies, in absolute paths: the same choice from any folder. */
export function choicePaths(options: ModelOptions): Record<string, string> {
  const names = [...(options.model === undefined ? [] : (["model"] as const)), ...givenComponents(options)];
  if (names.length === 0) return { model: BUNDLED_MODEL };
  return Object.fromEntries(names.map((name) => [name, resolve(options[name]!)]));
}

/** What `lvsa generate` runs: the checkpoint's student where it brings one, unless the user's options say how to sample. */
export function withStudent(
  { isBundled, student }: Pick<CheckpointChoice, "isBundled" | "student">,
  given: GenerateCommandOptions,
): { readonly options: GenerateCommandOptions; readonly isStudent: boolean } {
  const options = isBundled ? under(DEMO_CLIP, given) : given;
  const loras = (given.lora?.length ?? 0) + (given.lora2?.length ?? 0);
  if (!student || !runsInFewSteps(student, generationOptions(given), loras))
    return { options, isStudent: false };
  const { lora: path, preset } = student;
  return { options: { ...options, preset, lora: [{ path, weight: 1 }] }, isStudent: true };
}

/** The small model's own defaults under the user's options, where it is compared and calibrated. */
export function withBundledDefaults<Options extends Partial<GenerateCommandOptions>>(
  options: Options,
): Options {
  // Presets have steps of their own.
  return under(options.preset === undefined ? BUNDLED_DEFAULTS : DEMO_CLIP, options);
}

function under<Options extends object>(defaults: Partial<GenerateCommandOptions>, options: Options): Options {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...defaults, ...given } as unknown as Options;
}

/** The student that a folder's settings name, with its path; none where the checkpoint is no folder. @throws ConfigError `BAD_CONFIG` */
export async function studentIn(
  folder: FolderReader,
  path: string | undefined,
): Promise<FewSteps | undefined> {
  if (path === undefined) return undefined;
  const { fewSteps } = await readCheckpointSettings(folder);
  return fewSteps && { ...fewSteps, lora: join(path, fewSteps.lora) };
}
