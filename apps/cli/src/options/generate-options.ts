/** Options of `lvsa generate`. */
import { generateFields } from "@lvsa/diffusion";
import { type Command, Option } from "commander";
import * as z from "zod";
import { addDeviceOptions, deviceFields } from "./device-options.js";
import { addGenerationFlags, generationFields } from "./generation-flags.js";
import { addLoraOptions, loraArgument } from "./lora-options.js";
import { addLvsaOptions, lvsaFields } from "./lvsa-options.js";
import { addMemoryOptions, memoryFields } from "./memory-options.js";
import { addComponentOptions, componentFields, givenComponents } from "./model-options.js";
import { mp4Field, mp4Option, refuseMp4 } from "./mp4-option.js";
import { addParallelOptions, parallelFields, refuseDevices } from "./parallel-options.js";
import { decimalNumber, parseOptions, wholeNumber } from "./parse-options.js";
import { addTilingOptions, tilingFields } from "./tiling-options.js";

const schema = z
  .object({
    model: z.string().min(1, "expected a folder or a file").optional(),
    ...componentFields,
    ...generationFields,
    lora: z.array(loraArgument).optional(),
    lora2: z.array(loraArgument).optional(),
    prompts: z.string().min(1, "expected a path").optional(),
    magRatios: z.string().min(1, "expected a path").optional(),
    output: z.string().min(1, "expected a path").optional(),
    outputLatent: z.string().min(1, "expected a path").optional(),
    overwrite: z.boolean().default(false),
    mp4: mp4Field,
    preview: z.enum(["png", "terminal"], "expected png or terminal").optional(),
    checkpointEvery: wholeNumber(0).optional(),
    initialLatents: z.string().min(1, "expected a path").optional(),
    image: z.string().min(1, "expected a path").optional(),
    lastImage: z.string().min(1, "expected a path").optional(),
    ...deviceFields,
    ...memoryFields,
    ...tilingFields,
    ...parallelFields,
    lvsa: z.boolean().default(false),
    ...lvsaFields,
    showMask: z.boolean().default(false),
    showMaskCompact: z
      .union([z.literal(true), z.enum(["once", "step"])], "expected once or step")
      .transform((value) => (value === true ? "once" : value))
      .optional(),
    riflex: z.boolean().default(false),
    riflexS: decimalNumber(0, "above").optional(),
    riflexK: wholeNumber(0).optional(),
    riflexTrainLen: wholeNumber(1).optional(),
    profile: z.boolean().default(false),
    json: z.boolean().default(false),
    quiet: z.boolean().default(false),
  })
  .superRefine((options, context) => {
    const isChosen = options.model !== undefined || givenComponents(options).length > 0;
    if (isChosen && options.prompt === undefined && options.prompts === undefined) {
      context.addIssue({ code: "custom", path: ["prompt"], message: "a prompt is needed" });
    }
    if (options.prompts !== undefined && options.prompt !== undefined) {
      context.addIssue({ code: "custom", path: ["prompts"], message: "and --prompt exclude each other" });
    }
    for (const name of ["prompts", "windowOverlap"] as const) {
      if (options[name] === undefined || options.windowFrames !== undefined) continue;
      context.addIssue({ code: "custom", path: [name], message: "--window-frames is needed too" });
    }
    if (options.lastImage !== undefined && options.image === undefined) {
      context.addIssue({ code: "custom", path: ["lastImage"], message: "--image is needed too" });
    }
    const { stepCache, magRatios } = options;
    if (magRatios !== undefined && !(typeof stepCache === "object" && stepCache.name === "magcache")) {
      context.addIssue({ code: "custom", path: ["magRatios"], message: "is for --step-cache magcache" });
    }
    refuseMp4(options, context);
    refuseDevices(options, context);
    if (options.preview === "terminal" && (options.json || options.quiet)) {
      const message = `terminal draws between lines of text, and ${options.json ? "--json" : "--quiet"} has none`;
      context.addIssue({ code: "custom", path: ["preview"], message });
    }
    if (options.json && options.quiet) {
      context.addIssue({ code: "custom", message: "--json and --quiet exclude each other" });
    }
  });

export type GenerateCommandOptions = z.infer<typeof schema>;

/** @throws UsageError */
export function parseGenerateOptions(raw: unknown): GenerateCommandOptions {
  return parseOptions(schema, raw);
}

/** Options that do nothing without `--lvsa` or `--riflex`; they are named in a warning. */
export function ignoredOptions(options: GenerateCommandOptions): { names: string[]; without: string }[] {
  const given = (fields: Record<string, unknown>) =>
    Object.entries(fields)
      .filter(([, value]) => value !== undefined && value !== false)
      .map(([name]) => name);
  const lvsa = given({
    "--window-size": options.windowSize,
    "--n-first-frames": options.nFirstFrames,
    "--key-frame-interval": options.keyFrameInterval,
    "--auto-keyframes": options.autoKeyframes,
    "--rotate-keyframes": options.rotateKeyframes,
    "--sparsity-scale": options.sparsityScale,
    "--reference-latent-frames": options.riflex ? undefined : options.referenceLatentFrames,
    "--show-mask": options.showMask,
    "--show-mask-compact": options.showMaskCompact,
  });
  const riflex = given({
    "--riflex-s": options.riflexS,
    "--riflex-k": options.riflexK,
    "--riflex-train-len": options.riflexTrainLen,
  });
  return [
    ...(!options.lvsa && lvsa.length ? [{ names: lvsa, without: "--lvsa" }] : []),
    ...(!options.riflex && riflex.length ? [{ names: riflex, without: "--riflex" }] : []),
  ];
}

export function addGenerateOptions(command: Command): Command {
  command
    .optionsGroup("Model and prompt:")
    .option(
      "--model <path>",
      "checkpoint: a diffusers folder, or one file of weights (default: the demo model)",
    );
  addComponentOptions(command);
  addLoraOptions(command);
  addGenerationFlags(command, "prompt", "negativePrompt", "maxSequenceLength");
  command
    .option(
      "--prompts <file.json>",
      "instead of --prompt, with --window-frames: a prompt for each segment of the clip (form: below)",
    )
    .option("--image <file>", `${generateFields.image.description}: PNG or JPEG`)
    .option("--last-image <file>", `${generateFields.lastImage.description}: PNG or JPEG`);
  command.optionsGroup("Video:");
  addGenerationFlags(command, "numFrames", "windowFrames", "windowOverlap", "height", "width", "fps");
  command.optionsGroup("Sampling:");
  addGenerationFlags(command, "numInferenceSteps", "guidanceScale", "guidanceScale2", "useDynamicGuidance");
  addGenerationFlags(command, "guidanceBatch");
  addGenerationFlags(command, "preset", "scheduler", "sigmas", "flowShift", "boundaryStepIndex", "seed");
  addGenerationFlags(command, "stepCache");
  command.option("--mag-ratios <file.json>", "ratios of `lvsa calibrate`, for --step-cache magcache");
  command
    .option(
      "--initial-latents <file.safetensors>",
      "initial noise from a file (tensor `latents` [B, C, T, h, w] f32)",
    )
    .optionsGroup("Output:")
    .option(
      "--output <path>",
      ".mp4, .webm, .gif, .png, or a folder for PNG frames (default: lvsa.mp4, lvsa-2.mp4, …)",
    )
    .option("--output-latent <file.safetensors>", "final latents; without --output the video is not decoded")
    .option("--overwrite", "replace what is there already")
    .addOption(mp4Option())
    .addOption(
      new Option(
        "--preview <kind>",
        "what the latents look like after each step: png (<output>.preview.png, animated) or terminal",
      ),
    )
    .option(
      "--checkpoint-every <steps>",
      "write the run's state beside the output, for `lvsa resume`; 0: never (default: runs above a minute, by time)",
    )
    .optionsGroup("Device:");
  addDeviceOptions(command);
  addTilingOptions(addMemoryOptions(command));
  addParallelOptions(command);
  command
    .optionsGroup("Long-Video Sparse Attention:")
    .option("--lvsa", "sparse self attention for long videos");
  addLvsaOptions(command);
  return command
    .option("--show-mask", "print which latent frames attend to which")
    .option("--show-mask-compact [when]", "the same with one character per frame: once, or every step")
    .optionsGroup("RIFLEx (works with and without --lvsa):")
    .option("--riflex", "slow one temporal frequency down, against repeating motion")
    .option("--riflex-s <number>", "target length divided by training length; 1 changes nothing (default: 1)")
    .option("--riflex-k <index>", "which frequency (default: the one nearest the training length)")
    .option("--riflex-train-len <frames>", "training length in latent frames (default: the model's)")
    .optionsGroup("Reports:")
    .option("--profile", "time per step, and GPU time per kernel at the end")
    .option("--json", "one JSON object per event on standard output")
    .option("--quiet", "say nothing but errors")
    .addHelpText(
      "after",
      `
Segments of --prompts, each until the next begins:
  [{"from_frame": 0, "prompt": "A fox sleeps."}, {"from_frame": 81, "prompt": "The fox wakes."}]

Examples:
  lvsa generate --prompt "A cat walks in the garden." --output cat.mp4
  lvsa generate --model ./Wan2.1-T2V-1.3B-Diffusers --prompt "A red fox in the snow." \\
    --num-frames 161 --lvsa --seed 42 --output fox.mp4
  lvsa generate --model ./Wan2.1-T2V-1.3B-Diffusers --prompts day.json --num-frames 961 --window-frames 81 \\
    --lvsa --output day.mp4
  lvsa generate --transformer wan2.1-t2v-14b-Q4_K_M.gguf --text-encoder umt5-xxl-encoder-Q8_0.gguf \\
    --vae wan_2.1_vae.safetensors --prompt "A red fox in the snow." --output fox.mp4
  lvsa generate --model ./Wan2.2-I2V-A14B-Diffusers --image harbour.jpg --prompt "Boats sway in the wind." \\
    --height 480 --width 832 --output harbour.mp4`,
    );
}
