/** The step cache of a run, and what is said of it afterwards. */
import type { Device } from "@lvsa/runtime";
import type { Scheduler } from "../schedulers/index.js";
import { StepCache } from "../step-cache/step-cache.js";
import type { CachedModel } from "../step-cache/step-cache-models.js";
import type { StepCacheOptions } from "../step-cache/step-cache-options.js";
import type { GenerateOptions, GenerationDefaults } from "./video-pipeline.js";

/** What a family's pipeline knows of its model. */
export type CachedModelOf = Pick<CachedModel, "isImageToVideo" | "hasTokenTimesteps">;

interface CachedPipeline {
  readonly family: string;
  readonly device: Device;
  readonly transformers: readonly { readonly config: Readonly<Record<string, unknown>> }[];
}

interface CachedPlan {
  readonly settings: Pick<GenerateOptions, "stepCache"> & Pick<GenerationDefaults, "width" | "height">;
  readonly scheduler: Scheduler;
  readonly secondFrom?: number;
}

/** @throws UsageError `BAD_OPTION` for a cache that the model has no numbers for */
export function runStepCache(
  { family, device, transformers }: CachedPipeline,
  { settings, scheduler, secondFrom = Number.POSITIVE_INFINITY }: CachedPlan,
  model: CachedModelOf,
): StepCache | undefined {
  // The schema has made an object of a text.
  const options = settings.stepCache as StepCacheOptions | undefined;
  if (!options) return undefined;
  const { num_attention_heads: heads, attention_head_dim: size } = transformers[0]!.config;
  return StepCache.create(options, {
    device,
    model: {
      ...{ ...model, family, transformers: transformers.length },
      ...{ width: Number(heads) * Number(size), pixels: settings.width * settings.height },
    },
    ...{ steps: scheduler.timesteps.length, secondFrom },
    sigmaAt: (share) => sigmaAt(scheduler, share),
  });
}

/** Noise level at a share of the schedule, as its shift has it; levels that are not shifted fall evenly. */
function sigmaAt({ flowShiftKey, config }: Scheduler, share: number): number {
  const shift = flowShiftKey === undefined ? 1 : Number(config[flowShiftKey]);
  const level = 1 - share;
  return (shift * level) / (1 + (shift - 1) * level);
}

/** For people: how much was skipped, at which error, and the time that it took. */
export function stepCacheNote({ settings, report }: StepCache): string {
  const { passes, reused, largestError, computedSeconds, reusedSeconds } = report;
  const error = largestError === null ? "" : `, estimated error at most ${largestError.toPrecision(3)}`;
  const seconds = `${computedSeconds.toFixed(2)} s in computed passes, ${reusedSeconds.toFixed(2)} s in the others`;
  return `Step cache (${settings}): ${reused} of ${passes} passes were not computed${error}; ${seconds}.`;
}
