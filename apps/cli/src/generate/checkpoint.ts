/** Which checkpoint runs, and whether its files are whole. */
import { resolve } from "node:path";
import { DEMO_PROMPTS } from "@lvsa/demo-wan";
import type { FolderReader } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { BUNDLED_MODEL, BUNDLED_STUDENT } from "../bundled-model.js";
import { openModel } from "../checkpoint/open-model.js";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { givenComponents, type ModelOptions } from "../options/model-options.js";

export interface CheckpointChoice {
  readonly folder: FolderReader;
  /** For metadata and messages. */
  readonly name: string;
  readonly isBundled: boolean;
}

/**
 * What is compared and calibrated without `--model`, over the model's own defaults: the model as it was trained, and twice the
 * training length, so that LVSA has something to leave out.
 */
const BUNDLED_DEFAULTS = {
  prompt: DEMO_PROMPTS[0]!,
  numFrames: 37,
  steps: 12,
} as const satisfies Partial<GenerateCommandOptions>;

/** Whoever says one of these wants to choose how the model samples: then the model itself runs, not its student. */
const SAMPLING: readonly (keyof GenerateCommandOptions)[] = [
  "steps",
  "guidance",
  "guidance2",
  "dynamicGuidance",
  "boundaryStep",
  "negativePrompt",
  "preset",
  "scheduler",
  "sigmas",
  "flowShift",
  "stepCache",
  "lora",
];

/** @throws ConfigError, WeightsError as `openModel` */
export async function chooseCheckpoint(options: ModelOptions): Promise<CheckpointChoice> {
  if (options.model !== undefined || givenComponents(options).length > 0) {
    const { folder, name } = await openModel(options);
    return { folder, name, isBundled: false };
  }
  return { folder: nodeFolder(BUNDLED_MODEL), name: "demo-wan", isBundled: true };
}

/** Where a choice lies, in absolute paths: the same choice from any folder. */
export function choicePaths(options: ModelOptions): Record<string, string> {
  const names = [...(options.model === undefined ? [] : (["model"] as const)), ...givenComponents(options)];
  if (names.length === 0) return { model: BUNDLED_MODEL };
  return Object.fromEntries(names.map((name) => [name, resolve(options[name]!)]));
}

/** What `lvsa generate` takes without `--model`: the model's student in four steps, unless the user's options say how to sample. */
export function withBundledStudent(options: GenerateCommandOptions): {
  readonly options: GenerateCommandOptions;
  readonly isStudent: boolean;
} {
  const { lora: path, preset } = BUNDLED_STUDENT;
  const saysSampling = SAMPLING.some((name) => options[name] !== undefined);
  const asksForStudent = options.preset === preset && options.lora === undefined;
  const defaults = withBundledDefaults(options);
  if (saysSampling && !asksForStudent) return { options: defaults, isStudent: false };
  const student = { steps: options.steps, preset, lora: [{ path, weight: 1 }] };
  return { options: { ...defaults, ...student }, isStudent: true };
}

/** The small model's own defaults under the user's options. */
export function withBundledDefaults<Options extends Partial<GenerateCommandOptions>>(
  options: Options,
): Options {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...BUNDLED_DEFAULTS, ...given } as unknown as Options;
}
