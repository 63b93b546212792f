/** Options of `lvsa plan`. */
import type { Command } from "commander";
import * as z from "zod";
import { NO_DEVICE } from "../plan/planned-device.js";
import { addDeviceOptions, deviceFields } from "./device-options.js";
import { addGenerationFlags, generationFields } from "./generation-flags.js";
import { addLvsaOptions, lvsaFields } from "./lvsa-options.js";
import { addMemoryOptions, memoryFields } from "./memory-options.js";
import { addComponentOptions, componentFields, requireModel } from "./model-options.js";
import { addContextParallelOption, parallelFields } from "./parallel-options.js";
import { parseOptions, wholeNumber } from "./parse-options.js";
import { addTilingOptions, tilingFields } from "./tiling-options.js";

const schema = z
  .object({
    model: z.string().min(1, "expected a folder, a file or a known model").optional(),
    ...componentFields,
    numFrames: z
      .string()
      .transform((text) => text.split(","))
      .pipe(z.array(wholeNumber(1)))
      .default([]),
    windowFrames: generationFields.windowFrames,
    windowOverlap: generationFields.windowOverlap,
    height: generationFields.height,
    width: generationFields.width,
    steps: generationFields.steps,
    guidance: generationFields.guidance,
    guidance2: generationFields.guidance2,
    guidanceBatch: generationFields.guidanceBatch,
    ...deviceFields,
    prompt: generationFields.prompt,
    negativePrompt: generationFields.negativePrompt,
    maxSequenceLength: generationFields.maxSequenceLength,
    stepCache: generationFields.stepCache,
    ...memoryFields,
    ...tilingFields,
    lvsa: z.boolean().default(false),
    contextParallelSize: parallelFields.contextParallelSize,
    dense: z.boolean().default(false),
    ...lvsaFields,
    png: z.string().min(1, "expected a path").optional(),
    html: z.string().min(1, "expected a path").optional(),
    showMask: z.boolean().default(false),
    json: z.boolean().default(false),
  })
  .superRefine(requireModel)
  .refine(({ lvsa, dense }) => !(lvsa && dense), "--lvsa and --dense exclude each other")
  .refine(({ windowFrames, windowOverlap }) => windowOverlap === undefined || windowFrames !== undefined, {
    path: ["windowOverlap"],
    message: "--window-frames is needed too",
  });

export type PlanCommandOptions = z.infer<typeof schema>;

/** @throws UsageError */
export function parsePlanOptions(raw: unknown): PlanCommandOptions {
  return parseOptions(schema, raw);
}

export function addPlanOptions(command: Command): Command {
  command
    .argument("[model]", "checkpoint folder or file, or a model known by name")
    .option("--model <model>", "the same as an option");
  addComponentOptions(command).option(
    "--num-frames <frames>",
    "video frames; several counts with commas (default: the model's)",
  );
  addGenerationFlags(
    command,
    "windowFrames",
    "windowOverlap",
    "height",
    "width",
    "numInferenceSteps",
    "guidanceScale",
    "guidanceScale2",
    "guidanceBatch",
    "prompt",
    "negativePrompt",
    "maxSequenceLength",
    "stepCache",
  );
  addDeviceOptions(
    command,
    `as of lvsa generate: auto, embedded (software), part of a driver's name; or ${NO_DEVICE}: a GPU that is not here`,
  );
  addContextParallelOption(addTilingOptions(addMemoryOptions(command)))
    .option(
      "--lvsa",
      "the run is sparse, as of lvsa generate (default: dense, beside what --lvsa would make of it)",
    )
    .option("--dense", "leave out what --lvsa would make of it");
  addLvsaOptions(command);
  return command
    .option("--show-mask", "print which latent frames attend to which")
    .option("--png <file>", "write the mask as a picture")
    .option("--html <file>", "write a page with the plan and the masks of the first steps")
    .option("--json", "one JSON object, or a list for several frame counts")
    .addHelpText(
      "after",
      `
Examples:
  lvsa plan wan2.1-t2v-1.3b --num-frames 161
  lvsa plan ./Wan2.1-T2V-1.3B-Diffusers --num-frames 81,161,321 --sparsity-scale 0.8 --png mask.png`,
    );
}
