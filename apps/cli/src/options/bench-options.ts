/** Options of `lvsa bench kernels` and `lvsa bench model`. */
import { type Command, Option } from "commander";
import * as z from "zod";
import { parseKernelShape, SHAPE_HELP } from "../bench/kernel-shapes.js";
import { addLvsaOptions, lvsaFields } from "./lvsa-options.js";
import { parseOptions, wholeNumber } from "./parse-options.js";
import { addTilingOptions, tilingFields } from "./tiling-options.js";

const device = z.string().min(1, "expected a name").default("auto");
const DEVICE_HELP = "auto, embedded (software), or part of a driver's name (default: auto)";

/** How results are shown; beside it a page may be written. */
const outputFields = {
  json: z.boolean().default(false),
  markdown: z.boolean().default(false),
  html: z.string().min(1, "expected a path").optional(),
};

function refuseTwoOutputs(
  { json, markdown }: { json: boolean; markdown: boolean },
  context: z.RefinementCtx,
) {
  if (!json || !markdown) return;
  context.addIssue({ code: "custom", path: ["markdown"], message: "goes not together with --json" });
}

const addOutputOptions = (command: Command, json: string) =>
  command
    .option("--json", json)
    .option("--markdown", "tables in Markdown")
    .option("--html <file>", "write a page with charts, too; it needs no other file");

const kernelsSchema = z
  .object({
    device,
    shape: z.array(z.string().transform(parseKernelShape)).default([]),
    ...outputFields,
  })
  .superRefine(refuseTwoOutputs);
export type BenchKernelsCommandOptions = z.infer<typeof kernelsSchema>;
/** @throws UsageError */
export const parseBenchKernelsOptions = (raw: unknown): BenchKernelsCommandOptions =>
  parseOptions(kernelsSchema, raw);

export function addBenchKernelsOptions(command: Command): Command {
  command
    .option("--shape <shape...>", `${SHAPE_HELP} (default: attention of a usual shape)`)
    .option("--device <name>", DEVICE_HELP);
  return addOutputOptions(command, "one JSON object").addHelpText(
    "after",
    `
Examples:
  lvsa bench kernels --json
  lvsa bench kernels --shape 32760x1536x1536 attention:21x1560x12x128 --html kernels.html`,
  );
}

const PHASES = ["encode", "denoise", "decode", "all"] as const;

const modelSchema = z
  .object({
    config: z.string().min(1, "expected a known model or a checkpoint folder"),
    numFrames: z
      .string()
      .transform((text) => text.split(","))
      .pipe(z.array(wholeNumber(1)))
      .default([]),
    height: wholeNumber(1).optional(),
    width: wholeNumber(1).optional(),
    steps: wholeNumber(1).default(1),
    warmUp: wholeNumber(0).default(1),
    phase: z.enum(PHASES, `expected one of ${PHASES.join(", ")}`).default("all"),
    guidanceBatch: z.boolean().default(false),
    lvsa: z.boolean().default(false),
    againstDense: z.boolean().default(false),
    ...lvsaFields,
    precision: z.enum(["auto", "f32", "f16"], "expected auto, f32 or f16").default("auto"),
    math: z.enum(["auto", "exact", "fast"], "expected auto, exact or fast").default("auto"),
    encoderLayers: z
      .union(
        [z.literal("all").transform(() => Number.POSITIVE_INFINITY), wholeNumber(1)],
        "expected a number or all",
      )
      .default(1),
    ...tilingFields,
    randomWeights: z.boolean().default(true),
    profile: z.boolean().default(false),
    device,
    ...outputFields,
  })
  .superRefine((options, context) => {
    refuseTwoOutputs(options, context);
    if (options.guidanceBatch && !["all", "denoise"].includes(options.phase)) {
      const message = `changes nothing with --phase ${options.phase}`;
      context.addIssue({ code: "custom", path: ["guidanceBatch"], message });
    }
    if (options.lvsa) return;
    if (options.againstDense) {
      context.addIssue({ code: "custom", path: ["againstDense"], message: "changes nothing without --lvsa" });
    }
    for (const field of Object.keys(lvsaFields) as (keyof typeof lvsaFields)[]) {
      if (options[field] !== undefined) {
        context.addIssue({ code: "custom", path: [field], message: "changes nothing without --lvsa" });
      }
    }
  });
export type BenchModelCommandOptions = z.infer<typeof modelSchema>;

/** Options of one run: one length, one attention. */
export type BenchModelRunOptions = Omit<BenchModelCommandOptions, "numFrames" | "againstDense"> & {
  readonly numFrames?: number | undefined;
};

/** The runs that a command asks for: shortest clip first as given, dense before LVSA. */
export function benchModelRuns(options: BenchModelCommandOptions): BenchModelRunOptions[] {
  const { numFrames, againstDense, ...common } = options;
  return (numFrames.length > 0 ? numFrames : [undefined]).flatMap((frames) => [
    ...(againstDense ? [{ ...common, numFrames: frames, lvsa: false }] : []),
    { ...common, numFrames: frames },
  ]);
}
/** @throws UsageError */
export const parseBenchModelOptions = (raw: unknown): BenchModelCommandOptions =>
  parseOptions(modelSchema, raw);

export function addBenchModelOptions(command: Command): Command {
  command
    .requiredOption(
      "--config <model>",
      "a known model (see `lvsa inspect`), or a checkpoint folder for its configs",
    )
    .option("--num-frames <frames>", "video frames, several with commas (default: the model's)")
    .option("--height <pixels>", "height (default: the model's)")
    .option("--width <pixels>", "width (default: the model's)")
    .option("--steps <count>", "forward passes that are timed (default: 1)")
    .option("--warm-up <count>", "forward passes before them, which compile shaders (default: 1)")
    .addOption(new Option("--phase <phase>", "what to run").choices(PHASES).default("all"))
    .option("--guidance-batch", "each forward pass makes both predictions of guidance, as of lvsa generate")
    .option("--lvsa", "with Long-Video Sparse Attention (default: dense)")
    .option("--against-dense", "with --lvsa: each clip dense, too");
  addLvsaOptions(command);
  addTilingOptions(command)
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
    .option("--device <name>", DEVICE_HELP);
  return addOutputOptions(command, "one JSON object, or a list for several runs").addHelpText(
    "after",
    `
Examples:
  lvsa bench model --config wan2.1-t2v-1.3b --num-frames 321 --lvsa
  lvsa bench model --config wan2.1-t2v-1.3b --num-frames 81,161,321 --lvsa --against-dense --html bench.html
  lvsa bench model --config cogvideox-5b --phase decode --json`,
  );
}
