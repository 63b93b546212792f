/** Options of `lvsa calibrate`. */
import { type Command, Option } from "commander";
import * as z from "zod";
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
  precision: z.enum(["auto", "f32", "f16"], "expected auto, f32 or f16").default("auto"),
  math: z.enum(["auto", "exact", "fast"], "expected auto, exact or fast").default("auto"),
  device: z.string().min(1, "expected a name").default("auto"),
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
  return command
    .option("--output <file.json>", "where the ratios go (default: mag-ratios.json)")
    .addOption(
      new Option("--device <name>", "auto, embedded (software), or part of a driver's name").default("auto"),
    )
    .addOption(new Option("--precision <type>", "storage of activations: auto, f32 or f16").default("auto"))
    .addOption(new Option("--math <kind>", "products: exact, fast or auto").default("auto"))
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
