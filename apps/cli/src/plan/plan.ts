/** Joins what is known of models (catalog) with the sparse pattern (core): what one generation takes. */
import {
  AttentionPattern,
  type LvsaConfigInput,
  type ResolvedLvsaConfig,
  resolveLvsaConfig,
} from "@lvsa/core";
import {
  type GenerationPlan,
  type ModelGeometry,
  type PlanOptions,
  planGeneration,
  type VideoGrid,
} from "@lvsa/diffusion/catalog";

export interface PlanModelOptions extends Omit<PlanOptions, "lvsa"> {
  /** LVSA settings in video frames, as on the command line; false: dense. Default: all defaults. */
  readonly lvsa?: LvsaConfigInput | false | undefined;
}

export interface LvsaPlan {
  /** In token frames. */
  readonly config: ResolvedLvsaConfig;
  /** Different patterns that the steps go through. */
  readonly offsets: number;
  /** Pattern of a denoising step (0-based). */
  patternOfStep(step: number): AttentionPattern;
}

export interface ModelPlan {
  readonly plan: GenerationPlan;
  /** Undefined where attention is dense. */
  readonly lvsa: LvsaPlan | undefined;
}

/** @throws ConfigError for settings that fit neither the model nor LVSA */
export function planModel(options: PlanModelOptions): ModelPlan {
  const { lvsa: settings = {}, ...rest } = options;
  if (settings === false) return { plan: planGeneration(rest), lvsa: undefined };
  let lvsa: LvsaPlan | undefined;
  const plan = planGeneration({
    ...rest,
    lvsa: (grid, geometry) => {
      const found = lvsaPlan(settings, grid, geometry);
      lvsa = found;
      return {
        offsets: found.offsets,
        attendedFrames: (offset) => attendedFrames(found.patternOfStep(offset)),
      };
    },
  });
  return { plan, lvsa };
}

/** Number of frames that each query frame attends to. */
export function attendedFrames(pattern: AttentionPattern): number[] {
  return Array.from({ length: pattern.rows }, (_, row) => pattern.attendedFrames(row).length);
}

function lvsaPlan(settings: LvsaConfigInput, grid: VideoGrid, geometry: ModelGeometry): LvsaPlan {
  const config = resolveLvsaConfig(
    { ...geometry.lvsa, ...settings },
    {
      latentFrames: grid.tokenFrames,
      patchesPerFrame: grid.patchesPerFrame,
      referenceLatentFrames: geometry.referenceTokenFrames,
      temporalFactor: geometry.vaeTemporal,
    },
  );
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
  return { config, offsets, patternOfStep };
}
