/**
 * The settings of Long-Video Sparse Attention as users write them, and what they mean for one clip. Window,
 * leading frames and interval are given in video frames, as on the command line; everything inside core is
 * in latent frames.
 */
import { ConfigError, UsageError } from "@lvsa/runtime";
// The functions of zod/mini do what zod's methods do, at half the size of an adapter's bundle.
import { en } from "zod/locales";
import * as z from "zod/mini";
import { formatFixed } from "./pattern/format-fixed.js";
import { computeAutoKeyframeInterval } from "./pattern/global-frames.js";
import { PatternController, type PatternControllerOptions } from "./pattern/pattern-controller.js";
import { type ScheduledSteps, scheduleSchema } from "./schedule.js";

const frameCount = z.int().check(z.minimum(0));

/** Names and defaults of the settings. An adapter may put its model's own defaults underneath the user's. */
export const lvsaConfigSchema = z.strictObject({
  /** Half window in video frames. */
  windowSize: z._default(frameCount, 12),
  /** Leading video frames that every query attends to. */
  nFirstFrames: z._default(frameCount, 4),
  /** Video frames between keyframes; null or 0: none. Ignored while the interval is automatic. */
  keyFrameInterval: z.optional(z.nullable(frameCount)),
  /** Compute the interval from the training length and `sparsityScale`. Default: true unless an interval is given. */
  autoKeyframes: z.optional(z.boolean()),
  /** Shift the keyframes by one each denoising step. Implies an automatic interval. Default: true when neither an interval nor `autoKeyframes` is given. */
  rotateKeyframes: z.optional(z.boolean()),
  /** Rotate a given interval instead of computing one. The Python scripts always compute it when they rotate. */
  rotateGivenInterval: z._default(z.boolean(), false),
  /** Grow the window past global frames. */
  expandWindow: z._default(z.boolean(), true),
  /** Frames whose content is given (the image of image to video) are global. */
  globalConditionFrames: z._default(z.boolean(), true),
  /** Below 1 sparser, above 1 denser; 0 as sparse as the leading frames and the window allow. */
  sparsityScale: z._default(z.number().check(z.minimum(0)), 1),
  /** Which steps run dense or sparse, e.g. `[{ steps: [0, 4], attention: "dense" }]`; sparse where nothing is said. */
  schedule: z._default(scheduleSchema, []),
  /** Overrides the training length that the model states. */
  referenceLatentFrames: z.optional(z.int().check(z.minimum(1))),
});

/** As users write it: everything optional. */
export type LvsaConfigInput = z.input<typeof lvsaConfigSchema>;

export interface LvsaConfig {
  readonly windowSize: number;
  readonly nFirstFrames: number;
  readonly keyFrameInterval: number | null;
  readonly autoKeyframes: boolean;
  readonly rotateKeyframes: boolean;
  readonly rotateGivenInterval: boolean;
  readonly expandWindow: boolean;
  readonly globalConditionFrames: boolean;
  readonly sparsityScale: number;
  readonly schedule: readonly ScheduledSteps[];
  readonly referenceLatentFrames: number | undefined;
}

/**
 * Checks settings and fills in defaults.
 *
 * @throws ConfigError that names every bad field.
 */
export function parseLvsaConfig(input: LvsaConfigInput = {}): LvsaConfig {
  const parsed = parseSettings(lvsaConfigSchema, input, "settings");
  const { keyFrameInterval, autoKeyframes, rotateKeyframes, referenceLatentFrames, ...rest } = parsed;
  const nothingSaid = keyFrameInterval === undefined && autoKeyframes === undefined;
  return {
    ...rest,
    keyFrameInterval: keyFrameInterval ?? null,
    autoKeyframes: autoKeyframes ?? keyFrameInterval === undefined,
    rotateKeyframes: rotateKeyframes ?? nothingSaid,
    referenceLatentFrames,
  };
}

/**
 * Checks input against a part of the settings' schema and fills in defaults.
 *
 * @throws UsageError `INVALID_LVSA_CONFIG` that names every bad field, and `what` it is a field of
 */
export function parseSettings<Schema extends z.ZodMiniType>(
  schema: Schema,
  input: unknown,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(input, { error: en().localeError });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join(".") || what}: ${issue.message}`);
  throw new UsageError("INVALID_LVSA_CONFIG", `Bad LVSA ${what}. ${problems.join("; ")}.`);
}

/** The clip and its model, from the adapter. */
export interface ClipGeometry {
  readonly latentFrames: number;
  /** Tokens per latent frame. */
  readonly patchesPerFrame: number;
  /** Latent frames the model was trained on. */
  readonly referenceLatentFrames: number;
  /** Video frames per latent frame. */
  readonly temporalFactor: number;
  /** Latent frames whose content is given, ascending. Default: none. */
  readonly conditionFrames?: readonly number[];
}

export interface RankOptions {
  /** Default 1. */
  readonly worldSize?: number;
  /** Default 0. */
  readonly rank?: number;
}

/** Settings of one clip in latent frames; they can be handed to `PatternController` as they are. */
export interface ResolvedLvsaConfig extends Required<PatternControllerOptions> {
  readonly rotateKeyframes: boolean;
  /** Whether condition frames that calls bring are global. */
  readonly globalConditionFrames: boolean;
  /** Steps that run dense or sparse whatever the pattern is. */
  readonly schedule: readonly ScheduledSteps[];
  /** The interval was computed rather than given. */
  readonly autoKeyframes: boolean;
  /** Lines for the log, in order; empty on ranks other than 0. */
  readonly logLines: readonly string[];
  /** Settings that were given and do nothing, for the log too. The Python original is silent about them. */
  readonly notes: readonly string[];
}

/**
 * Settings in video frames to the pattern of one clip. Half window, leading frames and interval are divided by
 * the temporal factor and rounded down, so a value below it becomes 0.
 *
 * If window and leading frames would cover a clip that is longer than the training length, both are replaced by
 * parts of the training length (a half and a quarter). Kept as in the Python original although that can leave the pattern
 * dense all the same, and can enlarge the leading frames (23 frames trained on 21: window 10, 5 leading).
 *
 * @throws ConfigError for bad settings or geometry.
 */
export function resolveLvsaConfig(
  input: LvsaConfigInput,
  geometry: ClipGeometry,
  ranks: RankOptions = {},
): ResolvedLvsaConfig {
  const config = parseLvsaConfig(input);
  const { latentFrames: frames, patchesPerFrame, temporalFactor } = geometry;
  requirePositive("latentFrames", frames);
  requirePositive("patchesPerFrame", patchesPerFrame);
  requirePositive("temporalFactor", temporalFactor);
  const reference = config.referenceLatentFrames ?? geometry.referenceLatentFrames;
  requirePositive("referenceLatentFrames", reference);
  const { worldSize = 1, rank = 0 } = ranks;
  const lines = [
    `[LVSA] reference_latent_frames=${reference}  target_latent_frames=${frames}  ` +
      `extension_ratio=${formatFixed(frames / reference, 2)}x`,
  ];
  if (frames <= reference) {
    lines.push(
      `[LVSA] NOTE: target (${frames}) <= reference (${reference}) latent frames. Full attention may produce ` +
        "better quality at this length. LVSA is most beneficial when extending beyond the model's training length.",
    );
  }

  const notes = roundedToNothing(config, temporalFactor);

  let window = Math.floor(config.windowSize / temporalFactor);
  let nFirstFrames = Math.floor(config.nFirstFrames / temporalFactor);
  if (2 * window + 1 + nFirstFrames >= frames && frames > reference) {
    window = Math.max(Math.floor(reference / 2), 1);
    nFirstFrames = Math.max(Math.floor(reference / 4), 1);
    lines.push(
      `[LVSA] auto-scaled: window_size=${window} n_first_frames=${nFirstFrames} (based on ref_lat_frames=${reference})`,
    );
  }

  const { sparsityScale, rotateKeyframes, globalConditionFrames } = config;
  const rotatesGiven = config.rotateGivenInterval && config.keyFrameInterval;
  const autoKeyframes = config.autoKeyframes || (rotateKeyframes && !rotatesGiven);
  let keyframeInterval: number | null = null;
  if (autoKeyframes && config.keyFrameInterval) {
    notes.push(
      `[LVSA] NOTE: key_frame_interval=${config.keyFrameInterval} has no effect: the interval is computed.`,
    );
  }
  if (!autoKeyframes && sparsityScale !== 1) {
    notes.push(
      `[LVSA] NOTE: sparsity_scale=${sparsityScale} has no effect: it scales an interval that is computed.`,
    );
  }
  if (autoKeyframes) {
    keyframeInterval = computeAutoKeyframeInterval({
      frames,
      window,
      nFirstFrames,
      referenceLatentFrames: reference,
      sparsityScale,
    });
    const option = rotateKeyframes ? "--rotate-keyframes" : "--auto-keyframes";
    lines.push(`[LVSA] ${option}: computed key_frame_interval=${keyframeInterval} (latent frames)`);
  } else if (config.keyFrameInterval) {
    keyframeInterval = Math.floor(config.keyFrameInterval / temporalFactor);
  }

  const resolved = {
    frames,
    patchesPerFrame,
    window,
    nFirstFrames,
    keyframeInterval,
    expandWindow: config.expandWindow,
    worldSize,
    rank,
    referenceLatentFrames: reference,
    sparsityScale,
    conditionFrames: globalConditionFrames ? (geometry.conditionFrames ?? []) : [],
  };
  lines.push(new PatternController(resolved).describe());
  return {
    ...resolved,
    rotateKeyframes,
    autoKeyframes,
    globalConditionFrames,
    schedule: config.schedule,
    logLines: rank === 0 ? lines : [],
    notes: rank === 0 ? notes : [],
  };
}

/** What is less than one latent frame, and so nothing. */
function roundedToNothing(
  { windowSize, nFirstFrames, keyFrameInterval }: LvsaConfig,
  temporalFactor: number,
): string[] {
  const given = {
    window_size: windowSize,
    n_first_frames: nFirstFrames,
    key_frame_interval: keyFrameInterval,
  };
  return Object.entries(given).flatMap(([name, value]) =>
    value !== null && value > 0 && value < temporalFactor
      ? [
          `[LVSA] NOTE: ${name}=${value} is less than one latent frame (${temporalFactor} video frames): it counts as 0.`,
        ]
      : [],
  );
}

/** The line after a processor is on every block of the model. `backend` names the attention kernel. */
export function installedLogLine(blocks: number, clip: ClipGeometry, backend: string): string {
  return (
    `[LVSA] installed on ${blocks} blocks  num_patches=${clip.patchesPerFrame}  ` +
    `total_lat_frames=${clip.latentFrames}  backend=${backend}`
  );
}

function requirePositive(name: string, value: number): void {
  if (Number.isInteger(value) && value > 0) return;
  throw new ConfigError("INVALID_GEOMETRY", `${name} is ${value}; expected a positive integer.`);
}
