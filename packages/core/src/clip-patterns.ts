/** The patterns that a clip's denoising steps go through, before anything runs: for plans and pictures. */
import {
  type ClipGeometry,
  type LvsaConfigInput,
  type ResolvedLvsaConfig,
  resolveLvsaConfig,
} from "./config.js";
import { AttentionPattern } from "./pattern/attention-pattern.js";

export interface ClipPatterns {
  /** In latent frames. */
  readonly config: ResolvedLvsaConfig;
  /** Different patterns that the steps go through; 1 where key frames stay. */
  readonly offsets: number;
  /** Pattern of a denoising step (0-based). */
  patternOfStep(step: number): AttentionPattern;
  /** Number of frames that each query frame attends to in a step, one per query frame. */
  attendedFrames(step: number): readonly number[];
}

/** @throws ConfigError for settings that do not fit the clip */
export function clipPatterns(settings: LvsaConfigInput, clip: ClipGeometry): ClipPatterns {
  const config = resolveLvsaConfig(settings, clip);
  const offsets = config.rotateKeyframes ? Math.max(config.keyframeInterval ?? 1, 1) : 1;
  const patterns = new Map<number, AttentionPattern>();
  const patternOfStep = (step: number): AttentionPattern => {
    const rotationOffset = step % offsets;
    const known = patterns.get(rotationOffset);
    if (known !== undefined) return known;
    const { frames, patchesPerFrame, window, nFirstFrames, keyframeInterval, expandWindow } = config;
    const pattern = AttentionPattern.build({
      frames,
      patchesPerFrame,
      window,
      nFirstFrames,
      keyframeInterval,
      expandWindow,
      rotationOffset,
    });
    patterns.set(rotationOffset, pattern);
    return pattern;
  };
  return {
    config,
    offsets,
    patternOfStep,
    attendedFrames: (step) => {
      const pattern = patternOfStep(step);
      return Array.from({ length: pattern.rows }, (_, row) => pattern.attendedFrames(row).length);
    },
  };
}
