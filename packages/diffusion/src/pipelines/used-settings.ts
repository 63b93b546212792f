/** What of a run's settings goes into its metadata: those that counted. */
import { type Seed, seedForJson } from "../random/index.js";
import type { RunSettings } from "../run-state/stateful.js";
import type { Scheduler } from "../schedulers/index.js";
import type { Guidance } from "./guidance.js";
import type { GenerateOptions, GenerationDefaults } from "./video-pipeline.js";
import type { PlannedWindows } from "./windows/window-options.js";

/** What of a clip's plan they are about. */
export interface SettledPlan {
  readonly settings: GenerationDefaults &
    Pick<GenerateOptions, "prompt" | "negativePromptEmbeds" | "preset" | "guidanceBatch">;
  readonly guidance: Pick<Guidance, "isOn">;
  readonly scheduler: Pick<Scheduler, "timesteps">;
  readonly used?: RunSettings;
}

/** What shaped the result, for its metadata. @param seed where it counted */
export function usedSettings(plan: SettledPlan, seed: Seed | undefined): RunSettings {
  const { settings } = plan;
  const { numFrames, height, width, fps } = settings;
  return {
    prompt: settings.prompt ?? null,
    negative_prompt: usedNegative(plan),
    ...{ num_frames: numFrames, height, width },
    num_inference_steps: plan.scheduler.timesteps.length,
    guidance_scale: plan.guidance.isOn ? settings.guidanceScale : 1,
    guidance_batch: plan.guidance.isOn ? (settings.guidanceBatch ?? false) : null,
    preset: settings.preset ?? null,
    ...plan.used,
    seed: seed === undefined ? null : seedForJson(seed),
    fps,
  };
}

/** Windows of a clip that has several, and its prompts by segment instead of the one prompt. */
export function usedWindows(
  windows: PlannedWindows | undefined,
  segments: GenerateOptions["prompts"],
): RunSettings {
  const count = windows?.layout.windows.length ?? 1;
  const isWindowed = windows !== undefined && count > 1;
  return {
    ...(segments ? { prompt: null } : {}),
    prompts: segments
      ? JSON.stringify(segments.map(({ fromFrame, prompt }) => ({ from_frame: fromFrame, prompt })))
      : null,
    window_frames: isWindowed ? windows.windowFrames : null,
    window_overlap: isWindowed ? windows.windowOverlap : null,
    windows: isWindowed ? count : null,
  };
}

/** The negative prompt where it counted; null where guidance was off or embeddings were given. */
function usedNegative({ guidance, settings }: SettledPlan): string | null {
  if (!guidance.isOn || settings.negativePromptEmbeds !== undefined) return null;
  return settings.negativePrompt;
}
