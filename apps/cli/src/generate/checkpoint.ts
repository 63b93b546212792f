/** Which checkpoint runs, and whether its files are whole. */
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { type CheckpointInspection, findKnownModel } from "@lvsa/diffusion/catalog";
import { ConfigError, WeightsError } from "@lvsa/runtime";
import { BUNDLED_MODEL } from "../bundled-model.js";
import type { GenerateCommandOptions } from "../options/generate-options.js";

export interface CheckpointChoice {
  readonly path: string;
  /** For metadata and messages. */
  readonly name: string;
  readonly isBundled: boolean;
}

/** What runs without `--model`: seconds on a processor. */
const BUNDLED_DEFAULTS = {
  prompt: "A cat is walking slowly in the garden, at sunset.",
  numFrames: 17,
  height: 32,
  width: 48,
  steps: 4,
  maxSequenceLength: 64,
} as const satisfies Partial<GenerateCommandOptions>;

/** @throws ConfigError `NOT_A_CHECKPOINT` when there is no such folder */
export async function chooseCheckpoint(model: string | undefined): Promise<CheckpointChoice> {
  if (model === undefined) return { path: BUNDLED_MODEL, name: "tiny-wan (random weights)", isBundled: true };
  const path = resolve(model);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return { path, name: basename(path), isBundled: false };
  const known = findKnownModel(model);
  throw new ConfigError(
    "NOT_A_CHECKPOINT",
    found ? `${path} is not a folder` : `there is no folder ${path}`,
    {
      fix: known
        ? `Download ${known.repository ?? known.name} and give its folder; only \`lvsa plan\` and \`lvsa inspect\` know models by name.`
        : "Give the folder of a checkpoint in the diffusers format (the one that holds model_index.json).",
    },
  );
}

/** The small model's own defaults under the user's options. */
export function withBundledDefaults(options: GenerateCommandOptions): GenerateCommandOptions {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...BUNDLED_DEFAULTS, ...given } as GenerateCommandOptions;
}

/** @throws WeightsError for the first component that can not be loaded: at once, not after minutes of work */
export function requireWholeWeights(inspection: CheckpointInspection): void {
  for (const component of inspection.components) {
    if (!["transformer", "autoencoder", "text encoder"].includes(component.role)) continue;
    const problem = component.problems.find(
      ({ severity, code }) => severity === "error" && code !== "UNKNOWN_MODEL_CLASS",
    );
    if (!problem) continue;
    throw new WeightsError(problem.code, problem.message, {
      where: problem.where ?? component.name,
      ...(problem.fix ? { fix: problem.fix } : {}),
    });
  }
}
