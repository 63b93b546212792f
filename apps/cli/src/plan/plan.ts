/** Joins what is known of models (catalog) with the sparse pattern (core): what one generation takes. */
import { type ClipPatterns, clipPatterns, type LvsaConfigInput } from "@lvsa/core";
import { type GenerationPlan, type PlanOptions, planGeneration } from "@lvsa/diffusion/catalog";

export interface PlanModelOptions extends Omit<PlanOptions, "lvsa"> {
  /** LVSA settings in video frames, as on the command line; false: dense. Default: all defaults. */
  readonly lvsa?: LvsaConfigInput | false | undefined;
}

export interface ModelPlan {
  readonly plan: GenerationPlan;
  /** Undefined where attention is dense. */
  readonly lvsa: ClipPatterns | undefined;
}

/** @throws ConfigError for settings that fit neither the model nor LVSA */
export function planModel(options: PlanModelOptions): ModelPlan {
  const { lvsa: settings = {}, ...rest } = options;
  if (settings === false) return { plan: planGeneration(rest), lvsa: undefined };
  let lvsa: ClipPatterns | undefined;
  const plan = planGeneration({
    ...rest,
    lvsa: (grid, geometry) => {
      lvsa = clipPatterns(
        { ...geometry.lvsa, ...settings },
        {
          latentFrames: grid.tokenFrames,
          patchesPerFrame: grid.patchesPerFrame,
          referenceLatentFrames: geometry.referenceTokenFrames,
          temporalFactor: geometry.vaeTemporal,
        },
      );
      return lvsa;
    },
  });
  return { plan, lvsa };
}
