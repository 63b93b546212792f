/**
 * The options of a generation as schemas: one field for each, and for each family the fields that it has a use for.
 * Options are checked before anything is loaded; command lines take types, limits and descriptions from here.
 */
import { checkOptions, nearestName, UsageError } from "@lvsa/runtime";
import * as z from "zod";
import { type Seed, seedProblem } from "../random/index.js";
import type { RunState } from "../run-state/run-state.js";
import { STEP_CACHES, stepCacheField } from "../step-cache/step-cache-options.js";
import { badOption } from "./bad-option.js";
import { withoutUndefined } from "./generation-start.js";
import type {
  DecodeOptions,
  GenerateOptions,
  HostTensor,
  RgbImage,
  SchedulerSettings,
} from "./video-pipeline.js";

/** The schedulers' limit. */
const MAX_STEPS = 1000;
/** The containers' limit. */
const MAX_FPS = 1000;

const WHOLE = "expected a whole number of at least 1";
const positiveInteger = () => z.int(WHOLE).min(1, WHOLE);
const SEGMENTS =
  "expected { fromFrame, prompt } for each segment, the first from frame 0, the others from rising ones";
const LEVELS = "expected falling numbers from 1 to 0";
const text = z.string("expected a text");
const callback = z.custom<never>((value) => typeof value === "function", "expected a function");

const hostTensor = z.custom<HostTensor>((value) => {
  const { data, shape } = (value ?? {}) as Partial<HostTensor>;
  return (
    data instanceof Float32Array &&
    Array.isArray(shape) &&
    shape.every((size) => Number.isSafeInteger(size) && size > 0) &&
    shape.reduce((product, size) => product * size, 1) === data.length
  );
}, "expected { data: Float32Array, shape } with as many numbers as the shape says");

const rgbImage = z.custom<RgbImage>((value) => {
  const { data, width = 0, height = 0, name, sha256 } = (value ?? {}) as Partial<RgbImage>;
  const isSize = [width, height].every((pixels) => Number.isSafeInteger(pixels) && pixels > 0);
  const isText = [name, sha256].every((text) => text === undefined || typeof text === "string");
  return data instanceof Uint8Array && isSize && isText && data.length === width * height * 3;
}, "expected { data: Uint8Array, width, height } with three bytes per pixel");

const fields = {
  prompt: text.describe("what the video shows"),
  negativePrompt: text.describe("what it should not show; needs guidance"),
  promptEmbeds: hostTensor,
  negativePromptEmbeds: hostTensor,
  promptEmbeds2: hostTensor,
  negativePromptEmbeds2: hostTensor,
  numFrames: positiveInteger().describe("video frames (default: the model's)"),
  windowFrames: positiveInteger().describe(
    "video frames that the model sees at once; longer clips are made in overlapping windows (default: all)",
  ),
  windowOverlap: z
    .int("expected a whole number of at least 0")
    .min(0, "expected a whole number of at least 0")
    .describe("video frames that neighbouring windows share (default: about a quarter of a window)"),
  prompts: z
    .array(
      z.strictObject({ fromFrame: z.int(SEGMENTS).min(0, SEGMENTS), prompt: z.string(SEGMENTS) }, SEGMENTS),
      SEGMENTS,
    )
    .min(1, SEGMENTS)
    .refine(
      (segments) =>
        segments.every(({ fromFrame }, i) =>
          i === 0 ? fromFrame === 0 : fromFrame > segments[i - 1]!.fromFrame,
        ),
      SEGMENTS,
    )
    .describe("a prompt for each segment of the clip"),
  height: positiveInteger().describe("height (default: the model's)"),
  width: positiveInteger().describe("width (default: the model's)"),
  numInferenceSteps: positiveInteger()
    .max(MAX_STEPS, `expected at most ${MAX_STEPS} steps`)
    .describe("denoising steps (default: the model's)"),
  guidanceScale: z
    .number("expected a number of at least 0")
    .min(0, "expected a number of at least 0")
    .describe(
      "guidance scale; 1 turns guidance off, as less does for Wan and CogVideoX (default: the model's)",
    ),
  guidanceScale2: z
    .number("expected a number of at least 0")
    .min(0, "expected a number of at least 0")
    .describe("guidance scale of the second transformer, where there are two (default: that of the first)"),
  useDynamicGuidance: z
    .boolean("expected true or false")
    .describe("CogVideoX: guidance that changes from step to step"),
  guidanceBatch: z
    .boolean("expected true or false")
    .describe(
      "both predictions of guidance in one pass, a batch of two: streamed weights are read once, more memory",
    ),
  flowShift: z
    .number("expected a number above 0")
    .positive("expected a number above 0")
    .describe("shift of the noise schedule (default: the checkpoint's)"),
  scheduler: z
    .custom<string | SchedulerSettings>(
      (value) =>
        (typeof value === "string" && value !== "") ||
        (typeof value === "object" &&
          value !== null &&
          typeof (value as Partial<SchedulerSettings>)._class_name === "string"),
      "expected the name of a scheduler class, or a configuration with its _class_name",
    )
    .describe("scheduler class instead of the checkpoint's, with the checkpoint's shift"),
  sigmas: z
    .array(z.number(LEVELS).min(0, LEVELS).max(1, LEVELS), LEVELS)
    .min(1, LEVELS)
    .max(MAX_STEPS, LEVELS)
    .refine((levels) => levels.every((level, i) => i === 0 || level < levels[i - 1]!), LEVELS)
    .describe("noise levels before the shift, one for each step (default: the scheduler's)"),
  preset: text.describe("scheduler, levels, shift, steps and guidance of a few-step model together"),
  stepCache: stepCacheField.describe(
    `${STEP_CACHES.join(", ")}: skip passes that change little; the threshold behind a colon`,
  ),
  boundaryStepIndex: z
    .int("expected a whole number of at least 0")
    .min(0, "expected a whole number of at least 0")
    .describe("steps of the first transformer, where there are two (default: by the noise level)"),
  seed: z
    .custom<Seed>((value) => seedProblem(value) === undefined, {
      error: ({ input }) => seedProblem(input) ?? "expected a seed",
    })
    .describe(
      "initial noise, as torch.Generator('cpu') makes it from any 64-bit seed (default: random, reported)",
    ),
  fps: z
    .number("expected a number above 0")
    .positive("expected a number above 0")
    .max(MAX_FPS, `expected at most ${MAX_FPS}`)
    .describe("frames per second (default: the model's)"),
  maxSequenceLength: positiveInteger().describe(
    "longest prompt; what goes beyond is cut (default: the model's)",
  ),
  initialLatents: hostTensor,
  image: rgbImage.describe("first frame, of any size (image-to-video models)"),
  lastImage: rgbImage.describe("last frame, for models that take one"),
  imageEmbeds: hostTensor,
  signal: z.custom<AbortSignal>(
    (value) => typeof (value as AbortSignal | undefined)?.addEventListener === "function",
    "expected an AbortSignal",
  ),
  onStep: callback,
  onStage: callback,
  onTensor: callback,
  onState: callback,
  resumeFrom: z.custom<RunState>((value) => {
    const { latents, parts, settings, timesteps } = (value ?? {}) as Partial<RunState>;
    const isObject = (part: unknown) => typeof part === "object" && part !== null;
    const isState = isObject(parts) && isObject(settings) && Array.isArray(timesteps);
    return isState && hostTensor.safeParse(latents).success;
  }, "expected the state of a run"),
} satisfies Record<keyof GenerateOptions, z.ZodType>;

export type OptionName = keyof GenerateOptions;

/** Schema of each option. Descriptions are those of the command line. */
export const generateFields: Readonly<typeof fields> = fields;

/** What every family takes. */
const COMMON = [
  ...(["prompt", "negativePrompt", "numFrames", "height", "width", "numInferenceSteps"] as const),
  ...(["windowFrames", "windowOverlap", "prompts"] as const),
  ...([
    "guidanceScale",
    "guidanceBatch",
    "flowShift",
    "scheduler",
    "stepCache",
    "seed",
    "fps",
    "maxSequenceLength",
    "initialLatents",
  ] as const),
  ...(["signal", "onStep", "onStage", "onTensor", "onState", "resumeFrom"] as const),
];

/** Options that mean another kind of input, and have a code of their own. */
const IMAGES: readonly string[] = ["image", "lastImage", "imageEmbeds"] satisfies OptionName[];

/** The options of a family: what all take, and `more`. */
export class FamilyOptions {
  readonly names: readonly OptionName[];
  readonly #label: string;
  readonly #schema: z.ZodType<Partial<Record<OptionName, unknown>>>;

  /** @param label the family as people call it */
  constructor(label: string, more: readonly OptionName[]) {
    this.names = [...COMMON, ...more];
    this.#label = label;
    this.#schema = z.strictObject(
      Object.fromEntries(this.names.map((name) => [name, fields[name].optional()])),
    );
  }

  /** @throws UsageError `BAD_OPTION` that names every option that is unknown or has a bad value; `IMAGE_UNSUPPORTED` */
  parse(options: unknown): GenerateOptions {
    const parsed = this.#schema.safeParse(options);
    if (!parsed.success) throw this.#error(parsed.error.issues, options);
    const given = parsed.data as GenerateOptions;
    for (const [one, other] of [
      ["prompt", "promptEmbeds"],
      ["prompt", "prompts"],
      ["promptEmbeds", "prompts"],
      ["negativePrompt", "negativePromptEmbeds"],
      ["resumeFrom", "seed"],
      ["resumeFrom", "initialLatents"],
    ] as const) {
      if (given[one] === undefined || given[other] === undefined) continue;
      throw badOption(`${one} and ${other} exclude each other`, `Leave one of them out.`);
    }
    if (given.guidanceBatch && given.stepCache !== undefined) {
      // A cache decides for each prediction by itself whether it is computed.
      throw badOption("guidanceBatch and stepCache exclude each other", "Leave one of them out.");
    }
    if (given.prompt === undefined && given.promptEmbeds === undefined && given.prompts === undefined) {
      const fix = this.names.includes("promptEmbeds") ? "Give prompt, or promptEmbeds." : "Give prompt.";
      throw badOption("prompt: expected a text, got undefined", fix);
    }
    for (const [one, needs] of [
      ["promptEmbeds2", "promptEmbeds"],
      ["negativePromptEmbeds2", "negativePromptEmbeds"],
      ["lastImage", "image"],
      ["windowOverlap", "windowFrames"],
      ["prompts", "windowFrames"],
    ] as const) {
      if (given[one] === undefined || given[needs] !== undefined) continue;
      throw badOption(`${one} is given without ${needs}`, `Give ${needs} too.`);
    }
    return given;
  }

  #error(issues: readonly z.core.$ZodIssue[], options: unknown): UsageError {
    const isUnknown = (issue: z.core.$ZodIssue) =>
      issue.code === "unrecognized_keys" && issue.path.length === 0;
    const unknown = issues.flatMap((issue) =>
      issue.code === "unrecognized_keys" && isUnknown(issue) ? issue.keys : [],
    );
    const image = unknown.find((key) => IMAGES.includes(key));
    if (image) return imageUnsupported(this.#label, image);
    const values = (typeof options === "object" && options !== null ? options : {}) as Record<
      string,
      unknown
    >;
    const problems = issues.flatMap((issue) => {
      if (issue.code === "unrecognized_keys" && isUnknown(issue)) {
        return issue.keys.map((key) => this.#unknown(key));
      }
      const name = String(issue.path[0] ?? "options");
      return `${name}: ${issue.message}${name in values ? `, got ${shown(values[name])}` : ""}`;
    });
    return badOption(problems.join("; "), `Options of ${this.#label}: ${this.names.join(", ")}.`);
  }

  #unknown(key: string): string {
    if (Object.hasOwn(fields, key)) return `${this.#label} has no use for the option ${key}`;
    // Python's spelling is only a spelling.
    const camel = key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    const nearest = this.names.find((name) => name === camel) ?? nearestName(camel, this.names);
    return `unknown option ${key}${nearest ? `; did you mean ${nearest}?` : ""}`;
  }
}

const decodeSchema = z.strictObject({
  latents: fields.initialLatents,
  numFrames: fields.numFrames.optional(),
  height: fields.height.optional(),
  width: fields.width.optional(),
  fps: fields.fps.optional(),
  signal: fields.signal.optional(),
  onStage: fields.onStage.optional(),
});

/** @throws UsageError `BAD_OPTION` that names every option that is unknown or has a bad value */
export function parseDecodeOptions(options: unknown): DecodeOptions {
  checkOptions(decodeSchema, options, "decoding");
  return withoutUndefined(options as DecodeOptions) as DecodeOptions;
}

/** @param images what is missing, e.g. `an image` */
export function imageNeeded(model: string, images: string, option = "image"): UsageError {
  return new UsageError(
    "IMAGE_NEEDED",
    `${model} makes a video from ${images}, and ${option} was not given`,
    {
      fix: `Give ${option === "image" ? "image (--image)" : option}, or use a checkpoint that does without.`,
    },
  );
}

export function imageUnsupported(model: string, option: string): UsageError {
  return new UsageError(
    "IMAGE_UNSUPPORTED",
    `${model} makes videos from text only; an image was given (${option})`,
    {
      fix: `Leave ${option} out, or use an image-to-video checkpoint.`,
    },
  );
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "an array" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}
