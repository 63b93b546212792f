/** Options of `lvsa bench kernels` and `lvsa bench model`. */
import { type Command, Option } from "commander";
import * as z from "zod";
import { addLvsaOptions, lvsaFields } from "./lvsa-options.js";
import { parseOptions, wholeNumber } from "./parse-options.js";

const device = z.string().min(1, "expected a name").default("auto");
const DEVICE_HELP = "auto, embedded (software), or part of a driver's name (default: auto)";

const kernelsSchema = z.object({ device, json: z.boolean().default(false) });
export type BenchKernelsCommandOptions = z.infer<typeof kernelsSchema>;
/** @throws UsageError */
export const parseBenchKernelsOptions = (raw: unknown): BenchKernelsCommandOptions =>
  parseOptions(kernelsSchema, raw);

export function addBenchKernelsOptions(command: Command): Command {
  return command
    .option("--device <name>", DEVICE_HELP)
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Example:
  lvsa bench kernels --json`,
    );
}

const PHASES = ["encode", "denoise", "decode", "all"] as const;

const modelSchema = z
  .object({
    config: z.string().min(1, "expected a known model or a checkpoint folder"),
    numFrames: wholeNumber(1).optional(),
    height: wholeNumber(1).optional(),
    width: wholeNumber(1).optional(),
    steps: wholeNumber(1).default(1),
    warmUp: wholeNumber(0).default(1),
    phase: z.enum(PHASES, `expected one of ${PHASES.join(", ")}`).default("all"),
    lvsa: z.boolean().default(false),
    ...lvsaFields,
    precision: z.enum(["auto", "f32", "f16"], "expected auto, f32 or f16").default("auto"),
    math: z.enum(["auto", "exact", "fast"], "expected auto, exact or fast").default("auto"),
    encoderLayers: z
      .union(
        [z.literal("all").transform(() => Number.POSITIVE_INFINITY), wholeNumber(1)],
        "expected a number or all",
      )
      .default(1),
    randomWeights: z.boolean().default(true),
    profile: z.boolean().default(false),
    device,
    json: z.boolean().default(false),
  })
  .superRefine((options, context) => {
    if (options.lvsa) return;
    for (const field of Object.keys(lvsaFields) as (keyof typeof lvsaFields)[]) {
      if (options[field] !== undefined) {
        context.addIssue({ code: "custom", path: [field], message: "changes nothing without --lvsa" });
      }
    }
  });
export type BenchModelCommandOptions = z.infer<typeof modelSchema>;
/** @throws UsageError */
export const parseBenchModelOptions = (raw: unknown): BenchModelCommandOptions =>
  parseOptions(modelSchema, raw);

export function addBenchModelOptions(command: Command): Command {
  command
    .requiredOption(
      "--config <model>",
      "a known model (see `lvsa inspect`), or a checkpoint folder for its configs",
    )
    .option("--num-frames <frames>", "video frames (default: the model's)")
    .option("--height <pixels>", "height (default: the model's)")
    .option("--width <pixels>", "width (default: the model's)")
    .option("--steps <count>", "forward passes that are timed (default: 1)")
    .option("--warm-up <count>", "forward passes before them, which compile shaders (default: 1)")
    .addOption(new Option("--phase <phase>", "what to run").choices(PHASES).default("all"))
    .option("--lvsa", "with Long-Video Sparse Attention (default: dense)");
  addLvsaOptions(command);
  return command
    .addOption(
      new Option("--precision <type>", "storage of activations: auto is that of generate")
        .choices(["auto", "f32", "f16"])
        .default("auto"),
    )
    .addOption(
      new Option("--math <kind>", "exact: f32 products; fast: f16 products, f32 sums; auto: fast on GPUs")
        .choices(["auto", "exact", "fast"])
        .default("auto"),
    )
    .option("--encoder-layers <count>", "layers of text encoders that run, or all (default: 1)")
    .option(
      "--random-weights",
      "random numbers as weights: the default, and all there is without a checkpoint",
    )
    .option("--profile", "GPU time per kernel (slower: kernels run one by one)")
    .option("--device <name>", DEVICE_HELP)
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  lvsa bench model --config wan2.1-t2v-1.3b --num-frames 321 --lvsa
  lvsa bench model --config cogvideox-5b --phase decode --json`,
    );
}
