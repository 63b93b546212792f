/** Options of `lvsa resume`, `decode`, `pause` and `cancel`, which are about runs of `lvsa generate`. */
import { type Command, Option } from "commander";
import * as z from "zod";
import { addGenerationFlags, generationFields } from "./generation-flags.js";
import { mp4Field, mp4Option, refuseMp4 } from "./mp4-option.js";
import { parallelFields } from "./parallel-options.js";
import { parseOptions, wholeNumber } from "./parse-options.js";
import { addTilingOptions, tilingFields } from "./tiling-options.js";

const path = z.string().min(1, "expected a path");
const voices = { json: z.boolean().default(false), quiet: z.boolean().default(false) };
const device = {
  device: z.string().min(1, "expected a name").optional(),
  math: z.enum(["auto", "exact", "fast"], "expected auto, exact or fast").optional(),
  precision: z.enum(["auto", "f32", "f16"], "expected auto, f32 or f16").optional(),
};

const resumeSchema = z.object({
  file: path,
  model: path.optional(),
  output: path.optional(),
  overwrite: z.boolean().default(false),
  checkpointEvery: wholeNumber(0).optional(),
  devices: parallelFields.devices,
  ...device,
  ...voices,
});
export type ResumeCommandOptions = z.infer<typeof resumeSchema>;
/** @throws UsageError */
export const parseResumeOptions = (raw: unknown): ResumeCommandOptions => parseOptions(resumeSchema, raw);

const decodeSchema = z
  .object({
    file: path,
    model: path.optional(),
    output: path.optional(),
    overwrite: z.boolean().default(false),
    mp4: mp4Field,
    numFrames: generationFields.numFrames,
    height: generationFields.height,
    width: generationFields.width,
    fps: generationFields.fps,
    device: device.device,
    math: device.math,
    ...tilingFields,
    ...voices,
  })
  .superRefine(refuseMp4);
export type DecodeCommandOptions = z.infer<typeof decodeSchema>;
/** @throws UsageError */
export const parseDecodeOptions = (raw: unknown): DecodeCommandOptions => parseOptions(decodeSchema, raw);

function addVoices(command: Command): Command {
  return command
    .option("--json", "one JSON object per event on standard output")
    .option("--quiet", "say nothing but errors");
}

function addDevice(command: Command, when: string): Command {
  return command
    .addOption(
      new Option("--device <name>", `auto, embedded (software), or part of a driver's name (${when})`),
    )
    .addOption(new Option("--math <kind>", `products: exact, fast or auto (${when})`));
}

export function addResumeOptions(command: Command): Command {
  command
    .argument("<file>", "the file that a run left, or the output that it was to write")
    .option("--model <folder>", "where the checkpoint is now (default: where it was)")
    .option("--output <path>", "another output (default: the run's own)")
    .option("--overwrite", "replace what is there already")
    .option("--checkpoint-every <steps>", "as of `lvsa generate`")
    .option("--devices <names>", "as of `lvsa generate`, for a run on several ranks (default: as it began)")
    .addOption(new Option("--precision <type>", "auto, f32 or f16 (default: as the run began)"));
  addDevice(command, "default: as the run began");
  return addVoices(command).addHelpText(
    "after",
    `
On the same device the result is the same to the last bit as that of a run without a break.

Examples:
  lvsa resume fox.mp4.state.safetensors
  lvsa resume fox.mp4 --device embedded`,
  );
}

export function addDecodeOptions(command: Command): Command {
  command
    .argument("<file>", "latents that a run left, or wrote with --output-latent")
    .option("--model <folder>", "checkpoint (default: the one that the file names)")
    .option("--output <path>", ".mp4, .webm, .gif, .png, or a folder for PNG frames (default: the run's own)")
    .option("--overwrite", "replace what is there already")
    .addOption(mp4Option());
  addGenerationFlags(command, "numFrames", "height", "width", "fps");
  addDevice(command, "default: auto");
  addTilingOptions(command);
  return addVoices(command).addHelpText(
    "after",
    `
Sizes, frame rate and tiles are those that the file names; for files of other programs sizes follow from the latents.

Example:
  lvsa decode fox.mp4.latents.safetensors --model ./Wan2.1-T2V-1.3B-Diffusers --output fox.webm`,
  );
}
