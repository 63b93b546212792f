/** Options of a generation as flags: types, limits and words come from the library's schema, the spelling is here. */
import { type GenerateOptions, generateFields, type OptionName, parseSeed, type Seed } from "@lvsa/diffusion";
import { type Command, Option } from "commander";
import * as z from "zod";
import { withComponentFlags } from "./model-options.js";

/** What a command line can not write: tensors come from files, callbacks from programs. */
type NotWritten =
  | "promptEmbeds"
  | "negativePromptEmbeds"
  | "promptEmbeds2"
  | "negativePromptEmbeds2"
  | "prompts"
  | "initialLatents"
  | "image"
  | "lastImage"
  | "imageEmbeds"
  | "signal"
  | "onStep"
  | "onStage"
  | "onTensor"
  | "onState"
  | "resumeFrom";
export type WrittenOption = Exclude<OptionName, NotWritten>;

const FLAGS = {
  prompt: "--prompt <text>",
  negativePrompt: "--negative-prompt <text>",
  maxSequenceLength: "--max-sequence-length <tokens>",
  numFrames: "--num-frames <frames>",
  windowFrames: "--window-frames <frames>",
  windowOverlap: "--window-overlap <frames>",
  height: "--height <pixels>",
  width: "--width <pixels>",
  fps: "--fps <number>",
  numInferenceSteps: "--steps <count>",
  guidanceScale: "--guidance <scale>",
  guidanceScale2: "--guidance-2 <scale>",
  useDynamicGuidance: "--dynamic-guidance",
  guidanceBatch: "--guidance-batch",
  flowShift: "--flow-shift <number>",
  preset: "--preset <name>",
  scheduler: "--scheduler <class>",
  sigmas: "--sigmas <numbers>",
  boundaryStepIndex: "--boundary-step <index>",
  stepCache: "--step-cache <name>",
  seed: "--seed <number>",
} as const satisfies Record<WrittenOption, string>;

const WHOLE = /^[+-]?\d+$/;
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** Adds the flags of some options, with the descriptions of the library. */
export function addGenerationFlags(command: Command, ...names: readonly WrittenOption[]): Command {
  for (const name of names) {
    command.addOption(new Option(FLAGS[name], generateFields[name].description));
  }
  return command;
}

/** `--steps` of `numInferenceSteps`. */
export function flagOf(name: WrittenOption): string {
  return FLAGS[name].split(" ")[0]!;
}

/** The library's list of options, of which some have no place on a command line, and some other names. */
const OPTION_LIST = /\bOptions of [^:\n]+: [a-zA-Z0-9]+(?:, [a-zA-Z0-9]+)*\./g;

/** Options whose values come from files, and those of an engine. */
const OTHER_FLAGS = {
  ...{ initialLatents: "--initial-latents", lastImage: "--last-image" },
  vaeTiling: "--vae-tiling",
  ...{ tileSampleMinHeight: "--vae-tile-size (height)", tileSampleMinWidth: "--vae-tile-size (width)" },
  tileSampleStrideHeight: "--vae-tile-stride (height)",
  tileSampleStrideWidth: "--vae-tile-stride (width)",
} as const;

/** Names of the library in a text for people, as they are typed here: for those that no sentence has by chance. */
export function withFlags(text: string): string {
  const own = text.replaceAll(OPTION_LIST, "The command's own --help lists its options.");
  return withComponentFlags(own).replace(/\b[a-z]+(?:[A-Z][a-z]*)+\d?\b/g, (word) => {
    if (Object.hasOwn(OTHER_FLAGS, word)) return OTHER_FLAGS[word as keyof typeof OTHER_FLAGS];
    return Object.hasOwn(FLAGS, word) ? flagOf(word as WrittenOption) : word;
  });
}

/** The schema of an option for the text that a command line has. */
function textField(name: WrittenOption) {
  const field: z.ZodType = generateFields[name];
  if (!(field instanceof z.ZodNumber)) return field.optional();
  const pattern = field.isInt ? WHOLE : DECIMAL;
  // What is no number becomes one that the schema refuses, in its own words.
  return z
    .string()
    .transform((text) => (pattern.test(text) ? Number(text) : Number.NaN))
    .pipe(field)
    .optional();
}

const number = (name: WrittenOption) => textField(name) as z.ZodType<number | undefined>;
const text = (name: WrittenOption) => textField(name) as z.ZodType<string | undefined>;

/** Exact beyond 2^53, where a number is not. */
function seed(): z.ZodType<Seed | undefined> {
  return z
    .string()
    .transform((digits) => parseSeed(digits) ?? digits)
    .pipe(generateFields.seed)
    .optional();
}

/** `1,0.75,0.5`: what is no number becomes one that the schema refuses. */
function numbers(name: "sigmas"): z.ZodType<readonly number[] | undefined> {
  return z
    .string()
    .transform((text) =>
      text.split(",").map((part) => (DECIMAL.test(part.trim()) ? Number(part) : Number.NaN)),
    )
    .pipe(generateFields[name])
    .optional();
}

/** By the names that commander gives them. */
export const generationFields = {
  prompt: text("prompt"),
  negativePrompt: text("negativePrompt"),
  maxSequenceLength: number("maxSequenceLength"),
  numFrames: number("numFrames"),
  windowFrames: number("windowFrames"),
  windowOverlap: number("windowOverlap"),
  height: number("height"),
  width: number("width"),
  fps: number("fps"),
  steps: number("numInferenceSteps"),
  guidance: number("guidanceScale"),
  guidance2: number("guidanceScale2"),
  dynamicGuidance: textField("useDynamicGuidance") as z.ZodType<boolean | undefined>,
  guidanceBatch: textField("guidanceBatch") as z.ZodType<boolean | undefined>,
  flowShift: number("flowShift"),
  preset: text("preset"),
  scheduler: text("scheduler"),
  sigmas: numbers("sigmas"),
  boundaryStep: number("boundaryStepIndex"),
  stepCache: generateFields.stepCache.optional() as z.ZodType<GenerateOptions["stepCache"]>,
  seed: seed(),
};

export type GenerationFlags = {
  readonly [K in keyof typeof generationFields]?: z.infer<(typeof generationFields)[K]>;
};

/** The command line's name of an option where it has another one. */
const RENAMED = {
  numInferenceSteps: "steps",
  guidanceScale: "guidance",
  guidanceScale2: "guidance2",
  useDynamicGuidance: "dynamicGuidance",
  boundaryStepIndex: "boundaryStep",
} as const satisfies Partial<Record<WrittenOption, keyof GenerationFlags>>;

/** What was given, by the library's names. */
export function generationOptions(flags: GenerationFlags): Partial<Pick<GenerateOptions, WrittenOption>> {
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(FLAGS) as WrittenOption[]) {
    const value =
      flags[(RENAMED as Partial<Record<WrittenOption, keyof GenerationFlags>>)[name] ?? (name as never)];
    if (value !== undefined) given[name] = value;
  }
  return given;
}
