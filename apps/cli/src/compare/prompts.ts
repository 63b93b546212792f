/** Which prompts are compared. */
import { readFile } from "node:fs/promises";
import { captionOf, sampleScenes } from "@lvsa/quality/shapes";
import { UsageError } from "../exit-codes.js";
import type { CompareCommandOptions } from "../options/compare-options.js";

/** Always the same ones, so that two runs can be compared. */
const HELD_OUT_SEED = 32;

/** In the order: `--prompt`, the file's lines, held-out ones. @throws UsageError without any */
export async function comparePrompts(
  options: Pick<CompareCommandOptions, "prompt" | "prompts" | "heldOut">,
): Promise<string[]> {
  const lines = options.prompts === undefined ? [] : (await readFile(options.prompts, "utf8")).split(/\r?\n/);
  const prompts = [...options.prompt, ...lines.map((line) => line.trim()).filter(Boolean)];
  const scenes = sampleScenes(options.heldOut ?? 0, HELD_OUT_SEED, { heldOut: true });
  prompts.push(...scenes.map((scene, i) => captionOf(scene, i)));
  if (prompts.length > 0) return prompts;
  throw new UsageError(
    "there are no prompts to compare",
    "Give --prompt (several times, if you like), --prompts <file> with one per line, or --held-out <count>.",
  );
}
