/** Options of `lvsa compare`. */
import { type Command, Option } from "commander";
import * as z from "zod";
import { METHOD_NAMES } from "../compare/methods.js";
import { addDeviceOptions } from "./device-options.js";
import { type GenerateCommandOptions, parseGenerateOptions } from "./generate-options.js";
import { addGenerationFlags } from "./generation-flags.js";
import { addLvsaOptions } from "./lvsa-options.js";
import { parseOptions, wholeNumber } from "./parse-options.js";

/** A comma-separated list. */
const list = (text: string) => text.split(",").map((part) => part.trim());

const schema = z.object({
  prompt: z.array(z.string().min(1, "expected a text")).default([]),
  prompts: z.string().min(1, "expected a file").optional(),
  heldOut: wholeNumber(1, 1000).optional(),
  methods: z
    .string()
    .default(METHOD_NAMES.join(","))
    .transform(list)
    .pipe(z.array(z.enum(METHOD_NAMES, `expected some of ${METHOD_NAMES.join(", ")}`))),
  lengths: z
    .string()
    .default("1,2,4")
    .transform(list)
    .pipe(
      z.array(
        z
          .string()
          .regex(/^(\d+\.?\d*|\.\d+)$/, "expected numbers, such as 1,2,4,6")
          .transform(Number),
      ),
    )
    .refine(
      (factors) => factors.every((factor, i) => factor > (factors[i - 1] ?? 0)),
      "expected growing numbers",
    ),
  judge: z.enum(["auto", "none"], "expected auto or none").default("auto"),
  output: z.string().min(1, "expected a path").optional(),
  overwrite: z.boolean().default(false),
  json: z.boolean().default(false),
});

export interface CompareCommandOptions extends z.infer<typeof schema> {
  /** What every clip has in common. */
  readonly generation: GenerateCommandOptions;
}

/** @throws UsageError */
export function parseCompareOptions(raw: Readonly<Record<string, unknown>>): CompareCommandOptions {
  // The prompts are this command's own; one stands for them where the other schema wants it.
  return {
    ...parseOptions(schema, raw),
    generation: parseGenerateOptions({ ...raw, prompt: "", output: undefined }),
  };
}

const collect = (value: string, before: readonly string[] = []) => [...before, value];

export function addCompareOptions(command: Command): Command {
  command
    .optionsGroup("Model and prompts:")
    .option(
      "--model <folder>",
      "checkpoint in the diffusers folder format (default: the one that comes with lvsa)",
    )
    .addOption(new Option("--prompt <text>", "may be given several times").argParser(collect))
    .option("--prompts <file>", "a text file with one prompt per line")
    .option(
      "--held-out <count>",
      "prompts of the demo model's world that it was not trained on (4 where no prompt and no model is given)",
    );
  addGenerationFlags(command, "negativePrompt", "maxSequenceLength");
  command
    .optionsGroup("What is compared:")
    .option(
      "--methods <names>",
      `some of ${METHOD_NAMES.join(", ")}; the first is what others are compared with (default: all)`,
    )
    .option("--lengths <factors>", "multiples of the training length (default: 1,2,4)")
    .addOption(
      new Option("--judge <when>", "count what clips of the demo world show: auto or none").default("auto"),
    )
    .optionsGroup("Every clip:");
  addGenerationFlags(
    command,
    "height",
    "width",
    "fps",
    "numInferenceSteps",
    "guidanceScale",
    "guidanceScale2",
  );
  addGenerationFlags(command, "preset", "flowShift", "seed");
  addDeviceOptions(command.optionsGroup("Device:")).optionsGroup("Long-Video Sparse Attention:");
  addLvsaOptions(command);
  return command
    .optionsGroup("Output:")
    .option(
      "--output <page.html>",
      "one page with clips and scores (default: compare.html); the numbers go to <page.html>.json",
    )
    .option("--overwrite", "replace what is there already")
    .option("--json", "the numbers on standard output, too")
    .addHelpText(
      "after",
      `
The page is written anew after every prompt, so that a run can be stopped at any time.

Examples:
  lvsa compare
  lvsa compare --held-out 8 --lengths 1,2,4,6
  lvsa compare --preset demo-wan-4step        # the demo model's few-step student
  lvsa compare --model ./Wan2.1-T2V-1.3B-Diffusers --prompt "A red fox in the snow." \\
    --methods dense,lvsa-rotating --lengths 1,4 --output fox.html`,
    );
}
