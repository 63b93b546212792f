/** Options of `lvsa calibrate`. */
import type { Command } from "commander";
import * as z from "zod";
import { addDeviceOptions, deviceFields } from "./device-options.js";
import { addGenerationFlags, generationFields } from "./generation-flags.js";
import { addLoraOptions, loraArgument } from "./lora-options.js";
import { addComponentOptions, componentFields } from "./model-options.js";
import { parseOptions } from "./parse-options.js";

const { stepCache: _, ...fields } = generationFields;
const schema = z.object({
  model: z.string().min(1, "expected a folder or a file").optional(),
  ...componentFields,
  ...fields,
  lora: z.array(loraArgument).optional(),
  lora2: z.array(loraArgument).optional(),
  output: z.string().min(1, "expected a path").default("mag-ratios.json"),
  ...deviceFields,
  json: z.boolean().default(false),
  quiet: z.boolean().default(false),
});
export type CalibrateCommandOptions = z.infer<typeof schema>;
/** @throws UsageError */
export const parseCalibrateOptions = (raw: unknown): CalibrateCommandOptions => parseOptions(schema, raw);

export function addCalibrateOptions(command: Command): Command {
  command.option("--model <folder|file>", "checkpoint (default: a tiny one with random weights)");
  addComponentOptions(command);
  addLoraOptions(command);
  addGenerationFlags(command, "prompt", "negativePrompt", "maxSequenceLength");
  addGenerationFlags(command, "numFrames", "height", "width", "numInferenceSteps", "guidanceScale");
  addGenerationFlags(command, "guidanceScale2", "scheduler", "sigmas", "flowShift", "seed");
  command.option("--output <file.json>", "where the ratios go (default: mag-ratios.json)");
  return addDeviceOptions(command)
    .option("--json", "one JSON object per event on standard output")
    .option("--quiet", "say nothing but errors")
    .addHelpText(
      "after",
      `
Denoises once, skips nothing and decodes nothing. Ratios hold for the checkpoint, and nearly for other prompts and
numbers of steps.

Example:
  lvsa calibrate --model ./HunyuanVideo-1.5-Diffusers --prompt "A red fox in the snow." --output ratios.json
  lvsa generate --model ./HunyuanVideo-1.5-Diffusers --prompt "…" --step-cache magcache --mag-ratios ratios.json`,
    );
}
