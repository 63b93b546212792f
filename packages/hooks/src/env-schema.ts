/**
 * Every `LVSA_*` variable but the hooks' switches, once: its name, how its text is read, which values it takes, its default and what it
 * does. Settings, the table of the README and `lvsa env` all come from here.
 */
import { scheduleSchema } from "@lvsa/core";
import * as z from "zod";
import { ACCEPTED, type ValueKind } from "./env-values.js";
import { parseMaskLog } from "./mask-log.js";

/** What a field's schema carries besides its values. */
export interface VariableInfo {
  readonly variable: string;
  readonly kind: ValueKind;
  /** For people: `a whole number of at least 0`. */
  readonly accepted: string;
  /** For people. */
  readonly defaultText: string;
  readonly about: string;
  /** An empty text is as good as none. Switches read it as off. */
  readonly emptyIsUnset: boolean;
  /** Recognised, without effect: why, as one line. */
  readonly inert?: string;
}

const infos = z.registry<VariableInfo>();

interface Given {
  readonly variable: string;
  readonly kind: ValueKind;
  readonly defaultText: string;
  readonly about: string;
  readonly accepted?: string;
  readonly emptyIsUnset?: boolean;
  readonly inert?: string;
}

function field<Schema extends z.core.SomeType>(schema: Schema, given: Given): z.ZodOptional<Schema> {
  const info: VariableInfo = { accepted: ACCEPTED[given.kind], emptyIsUnset: false, ...given };
  const optional = z.optional(schema);
  infos.add(optional, info);
  return optional;
}

const flag = (variable: string, defaultText: "on" | "off" | "automatic" | "the host's", about: string) =>
  field(z.boolean(), { variable, kind: "switch", defaultText, about });

const whole = (minimum: number, given: Omit<Given, "kind">) =>
  field(z.int().min(minimum), {
    kind: "integer",
    accepted: `a whole number of at least ${minimum}`,
    ...given,
  });

const dead = (variable: string, inert: string) =>
  field(z.string(), { variable, kind: "text", defaultText: "none", about: inert, inert });

const NEEDED_ONLY = "Only for hosts that cannot tell; where the host tells, it must agree exactly.";

/** Explicit options have the names on the left; `LVSA_CONFIG` has them in snake case. */
export const hookSettingsSchema = z.strictObject({
  // When
  auto: flag("LVSA_AUTO", "off", "Engage only in clips that are longer than the model's training length."),
  strict: flag("LVSA_STRICT", "off", "Falling back to dense attention is an error."),
  warnFallback: flag("LVSA_WARN_FALLBACK", "on", "Say in the log when a call falls back to dense attention."),
  // The pattern
  windowSize: whole(0, {
    variable: "LVSA_WINDOW_SIZE",
    defaultText: "the model's (12)",
    about: "Half window in video frames.",
  }),
  nFirstFrames: whole(0, {
    variable: "LVSA_N_FIRST_FRAMES",
    defaultText: "the model's (4)",
    about: "Leading video frames that every query attends to.",
  }),
  keyFrameInterval: whole(0, {
    variable: "LVSA_KEY_FRAME_INTERVAL",
    defaultText: "automatic; 16 with LVSA_AUTO_KEYFRAMES=0",
    about: "Video frames between keyframes; 0: none.",
  }),
  autoKeyframes: flag(
    "LVSA_AUTO_KEYFRAMES",
    "automatic",
    "Compute the interval from the training length. Default: on unless an interval is given.",
  ),
  rotateKeyframes: flag(
    "LVSA_ROTATE_KEYFRAMES",
    "automatic",
    "Shift the keyframes by one each denoising step. Default: on when neither of the two above is given.",
  ),
  expandWindow: flag("LVSA_EXPAND_WINDOW", "on", "Let the window grow past keyframes."),
  globalConditionFrames: flag(
    "LVSA_GLOBAL_CONDITION_FRAMES",
    "on",
    "Frames whose content is given (the image of image to video) are attended to by every query.",
  ),
  sparsityScale: field(z.number().min(0), {
    variable: "LVSA_SPARSITY_SCALE",
    kind: "number",
    accepted: "a number of at least 0",
    defaultText: "1",
    about: "Below 1 sparser, above 1 denser.",
  }),
  schedule: field(scheduleSchema, {
    variable: "LVSA_SCHEDULE",
    kind: "schedule",
    defaultText: "every step sparse",
    about: "Denoising steps, from 0, that run dense or sparse.",
    emptyIsUnset: true,
  }),
  referenceLatentFrames: whole(1, {
    variable: "LVSA_REFERENCE_LATENT_FRAMES",
    defaultText: "the model's",
    about: "Training length in latent frames (Wan 21 or 31, HunyuanVideo 33, CogVideoX 13, Cosmos 3 48).",
  }),
  // Geometry, for hosts that cannot tell
  totalLatentFrames: whole(1, {
    variable: "LVSA_TOTAL_LATENT_FRAMES",
    defaultText: "the host's",
    about: `Latent frames of every clip. ${NEEDED_ONLY}`,
    emptyIsUnset: true,
  }),
  patchesPerFrame: field(z.array(z.int().min(1)).min(1), {
    variable: "LVSA_PATCHES_PER_FRAME",
    kind: "integers",
    accepted: "whole numbers of at least 1, separated by commas",
    defaultText: "the host's",
    about: `Tokens of one latent frame; several are tried in order. ${NEEDED_ONLY}`,
    emptyIsUnset: true,
  }),
  videoHeight: whole(1, {
    variable: "LVSA_VIDEO_HEIGHT",
    defaultText: "the host's",
    about: "Pixels; with the width an alternative to LVSA_PATCHES_PER_FRAME.",
  }),
  videoWidth: whole(1, {
    variable: "LVSA_VIDEO_WIDTH",
    defaultText: "the host's",
    about: "Pixels; with the height an alternative to LVSA_PATCHES_PER_FRAME.",
  }),
  vaeSpatialFactor: whole(1, {
    variable: "LVSA_VAE_SPATIAL_FACTOR",
    defaultText: "8",
    about: "Pixels per latent cell, for height and width above (HunyuanVideo 1.5: 16).",
  }),
  patchSize: whole(1, {
    variable: "LVSA_PATCH_SIZE",
    defaultText: "2",
    about: "Latent cells per token and direction, for height and width above (HunyuanVideo 1.5: 1).",
  }),
  vaeTemporalFactor: whole(1, {
    variable: "LVSA_VAE_TEMPORAL_FACTOR",
    defaultText: "the model's (4)",
    about: "Video frames per latent frame: divides window, leading frames and interval.",
  }),
  // Steps, for hosts that cannot tell
  cfgPasses: whole(1, {
    variable: "LVSA_CFG_PASSES",
    defaultText: "2",
    about: "Passes of the model per denoising step. Only for hosts that give no step index.",
  }),
  nBlocks: whole(0, {
    variable: "LVSA_N_BLOCKS",
    defaultText: "0",
    about: "Attention layers per pass; 0: counted in the first pass. Only for hosts that give no step index.",
  }),
  // Logs
  maskLog: field(
    z.string().refine((spec) => parseMaskLog(spec) !== undefined, {
      error:
        "expected nothing or 0 (never), 1 (every step), once, a range such as 3-7, or a list such as 2,5,10",
    }),
    {
      variable: "LVSA_MASK_LOG",
      kind: "text",
      accepted: "nothing or 0 (never), 1 (every step), once, a range such as 3-7, or a list such as 2,5,10",
      defaultText: "never",
      about: "Print the mask at these denoising steps of each generation.",
    },
  ),
  memLog: flag("LVSA_MEM_LOG", "off", "Print GPU memory after each denoising step."),
  stepTimeLog: flag("LVSA_STEP_TIME_LOG", "off", "Print the wall time of each denoising step."),
  // Known to the original, without effect here
  backend: field(z.string().regex(/^(sdpa|flashinfer)$/i, "expected sdpa or flashinfer"), {
    variable: "LVSA_BACKEND",
    kind: "text",
    accepted: "sdpa or flashinfer",
    defaultText: "sdpa",
    about: "Without effect: both names stand for the one WebGPU kernel.",
    inert: "there is one WebGPU kernel, which reads the frames in place",
  }),
  dispatchBackend: dead("LVSA_DISPATCH_BACKEND", "there is one WebGPU kernel to dispatch to"),
  repeatKv: field(z.boolean(), {
    variable: "LVSA_REPEAT_KV",
    kind: "switch",
    defaultText: "off",
    about: "Without effect: the kernel reads grouped keys and values as they are.",
    inert: "the kernel reads grouped keys and values as they are",
  }),
  scheduleStart: dead(
    "LVSA_SCHEDULE_START",
    "the original has no schedule any more; LVSA_SCHEDULE says which steps are dense",
  ),
  scheduleEnd: dead(
    "LVSA_SCHEDULE_END",
    "the original has no schedule any more; LVSA_SCHEDULE says which steps are dense",
  ),
  totalSteps: dead("LVSA_TOTAL_STEPS", "nothing ever read it; the host says how many steps there are"),
});

/** Only what was said; what was not is the model's or the default. */
export type HookSettings = z.infer<typeof hookSettingsSchema>;
export type SettingName = keyof HookSettings;

/** `LVSA_CONFIG` holds the others, so it is none of them. */
export const CONFIG_VARIABLE: VariableInfo = {
  variable: "LVSA_CONFIG",
  kind: "json",
  accepted: 'a JSON object of settings in snake case, e.g. {"window_size": 12}',
  defaultText: "none",
  about: "Settings in one place. Each variable of its own wins over the entry here.",
  emptyIsUnset: true,
};

/** Names that other parts of this repository read. */
export const FOREIGN_VARIABLES: readonly string[] = [
  // Of the server.
  "LVSA_API_KEYS",
  // Of the tests.
  "LVSA_TEST_ADAPTER",
  "LVSA_TEST_BOUNDS",
  "LVSA_REFERENCE_DIR",
  "LVSA_CHROMIUM",
  "LVSA_FIREFOX",
  "LVSA_DENO",
  "LVSA_BUN",
  "LVSA_SCREENSHOTS",
  "LVSA_FUZZ_SEED",
  "LVSA_FUZZ_MUTATIONS",
  "LVSA_KILLS",
  "LVSA_KILL_SEED",
  "LVSA_LOAD_JOBS",
];

/** All settings in the order of the table. */
export const SETTINGS: readonly { readonly name: SettingName; readonly info: VariableInfo }[] =
  Object.entries(hookSettingsSchema.shape).map(([name, schema]) => ({
    name: name as SettingName,
    info: infos.get(schema)!,
  }));

/** `window_size` from `windowSize`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
