/** From settings of hooks to what core calls LVSA's configuration. */
import type { ClipGeometry, LvsaConfigInput, ModelDefaults } from "@lvsa/core";
import { ConfigError } from "@lvsa/core";
import type { HookSettings } from "./env-schema.js";

/** What a model says about itself. */
export interface ModelFacts {
  /** Training length in latent frames. */
  readonly referenceLatentFrames: number;
  /** Video frames per latent frame. */
  readonly temporalFactor: number;
  readonly defaults?: ModelDefaults;
}

/** In video frames, as in the Python plugin: where the automatic interval is off and no other is given. */
const MANUAL_INTERVAL = 16;

/** Only what was said. A given interval rotates where rotation is on, as in the Python plugin. */
export function lvsaConfigOf(settings: HookSettings): LvsaConfigInput {
  const { windowSize, nFirstFrames, autoKeyframes, rotateKeyframes } = settings;
  const keyFrameInterval =
    settings.keyFrameInterval ?? (autoKeyframes === false ? MANUAL_INTERVAL : undefined);
  const { expandWindow, globalConditionFrames, schedule, sparsityScale, referenceLatentFrames } = settings;
  return {
    ...(windowSize === undefined ? {} : { windowSize }),
    ...(nFirstFrames === undefined ? {} : { nFirstFrames }),
    ...(keyFrameInterval === undefined ? {} : { keyFrameInterval }),
    ...(autoKeyframes === undefined ? {} : { autoKeyframes }),
    ...(rotateKeyframes === undefined ? {} : { rotateKeyframes, rotateGivenInterval: true }),
    ...(expandWindow === undefined ? {} : { expandWindow }),
    ...(globalConditionFrames === undefined ? {} : { globalConditionFrames }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(sparsityScale === undefined ? {} : { sparsityScale }),
    ...(referenceLatentFrames === undefined ? {} : { referenceLatentFrames }),
  };
}

/** The model's facts with what the settings say on top. */
export function withSettings(facts: ModelFacts, settings: HookSettings): ModelFacts {
  return {
    ...facts,
    temporalFactor: settings.vaeTemporalFactor ?? facts.temporalFactor,
    referenceLatentFrames: settings.referenceLatentFrames ?? facts.referenceLatentFrames,
  };
}

/** `LVSA_AUTO`: whether a clip is longer than the model's training length. */
export function engagesAuto(settings: HookSettings): (clip: ClipGeometry) => boolean {
  return (clip) => !settings.auto || clip.latentFrames > clip.referenceLatentFrames;
}

/**
 * Refuses settings in which a query would see nothing, before the first call does.
 * @throws ConfigError `EMPTY_PATTERN` that names the variables
 */
export function requireSomeKeys(settings: HookSettings, facts: ModelFacts): void {
  const config = { ...facts.defaults, ...lvsaConfigOf(settings) };
  const isAutomatic = config.autoKeyframes ?? config.keyFrameInterval === undefined;
  if (isAutomatic || (config.rotateKeyframes && !config.keyFrameInterval)) return;
  const { temporalFactor } = withSettings(facts, settings);
  const given = [config.windowSize ?? 12, config.nFirstFrames ?? 4, config.keyFrameInterval ?? 0];
  if (given.some((frames) => Math.floor(frames / temporalFactor) > 0)) return;
  throw new ConfigError(
    "EMPTY_PATTERN",
    `LVSA_WINDOW_SIZE ${given[0]}, LVSA_N_FIRST_FRAMES ${given[1]} and LVSA_KEY_FRAME_INTERVAL ${given[2]} are all ` +
      `below one latent frame (${temporalFactor} video frames): every query would attend to nothing`,
    { fix: `Set one of them to at least ${temporalFactor}.` },
  );
}
