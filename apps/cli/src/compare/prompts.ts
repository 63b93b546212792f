/** Which prompts are compared. */

import { captionOf, sampleScenes } from "@lvsa/quality/shapes";
import { UsageError } from "../exit-codes.js";
import type { CompareCommandOptions } from "../options/compare-options.js";
import { readTextFile } from "../read-text-file.js";

/** Always the same ones, so that two runs can be compared. */
const HELD_OUT_SEED = 32;

/** How many there are of them where nothing was said, and the model is the one that knows their world. */
const HELD_OUT_DEFAULT = 4;

/** In the order: `--prompt`, the file's lines, held-out ones. @throws UsageError without any, unless the demo model runs */
export async function comparePrompts(
  options: Pick<CompareCommandOptions, "prompt" | "prompts" | "heldOut">,
  isDemoModel: boolean,
): Promise<string[]> {
  const lines = options.prompts === undefined ? [] : (await textOf(options.prompts)).split(/\r?\n/);
  const prompts = [...options.prompt, ...lines.map((line) => line.trim()).filter(Boolean)];
  const heldOut = options.heldOut ?? (isDemoModel && prompts.length === 0 ? HELD_OUT_DEFAULT : 0);
  const scenes = sampleScenes(heldOut, HELD_OUT_SEED, { heldOut: true });
  prompts.push(...scenes.map((scene, i) => captionOf(scene, i)));
  if (prompts.length > 0) return prompts;
  throw new UsageError(
    "there are no prompts to compare",
    "Give --prompt (several times, if you like), --prompts <file> with one per line, or --held-out <count>.",
  );
}

/** @throws UsageError for what is no file of text */
async function textOf(path: string): Promise<string> {
  try {
    return await readTextFile(path);
  } catch (error) {
    const why =
      error instanceof TypeError ? "is not text in UTF-8" : `can not be read: ${(error as Error).message}`;
    throw new UsageError(`--prompts: "${path}" ${why}`);
  }
}
