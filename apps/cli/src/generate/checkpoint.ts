/** Which checkpoint runs, and whether its files are whole. */
import { resolve } from "node:path";
import { DEMO_PROMPTS } from "@lvsa/demo-wan";
import type { FolderReader } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { BUNDLED_MODEL } from "../bundled-model.js";
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
 * What runs without `--model`, over the model's own defaults: less than a minute on two cores, and twice the training
 * length, so that LVSA has something to leave out.
 */
const BUNDLED_DEFAULTS = {
  prompt: DEMO_PROMPTS[0]!,
  numFrames: 37,
  steps: 12,
} as const satisfies Partial<GenerateCommandOptions>;

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

/** The small model's own defaults under the user's options. */
export function withBundledDefaults<Options extends Partial<GenerateCommandOptions>>(
  options: Options,
): Options {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...BUNDLED_DEFAULTS, ...given } as unknown as Options;
}
