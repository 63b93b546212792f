/** Noise schedule that CogVideoX's two schedulers share: diffusers' `alphas_cumprod`, in float64. */
import { ConfigError, quoted } from "@lvsa/runtime";
import * as z from "zod";
import { roundHalfEven } from "../numbers/round-half-even.js";
import { cleanSample } from "./clean-sample.js";
import { linspace, torchLinspace } from "./noise-levels.js";
import {
  optional,
  parseSchedulerConfig,
  rejectOptions,
  trainTimesteps,
  unknownKeys,
} from "./scheduler-config.js";
import type { StepTerm } from "./step-plan.js";

// clip_sample and sample_max_value are in the file, but diffusers' CogVideoX schedulers never read them.
const configSchema = z.looseObject({
  num_train_timesteps: optional(trainTimesteps.min(2), 1000),
  beta_start: optional(z.number().positive().lt(1), 0.00085),
  beta_end: optional(z.number().positive().lt(1), 0.012),
  beta_schedule: optional(z.string(), "scaled_linear"),
  trained_betas: z.unknown().optional(),
  set_alpha_to_one: optional(z.boolean(), true),
  steps_offset: optional(z.number().int(), 0),
  prediction_type: optional(z.enum(["epsilon", "sample", "v_prediction"]), "epsilon"),
  timestep_spacing: optional(z.enum(["leading", "linspace", "trailing"]), "leading"),
  rescale_betas_zero_snr: optional(z.boolean(), false),
  snr_shift_scale: optional(z.number().positive(), 3),
});

export type CogVideoXSchedulerConfig = z.output<typeof configSchema>;

export function unknownCogVideoXKeys(config: CogVideoXSchedulerConfig): string[] {
  return unknownKeys(configSchema, config);
}

export function parseCogVideoXConfig(json: unknown, className: string): CogVideoXSchedulerConfig {
  const config = parseSchedulerConfig(configSchema, json, className);
  rejectOptions(className, [
    [config.beta_schedule !== "scaled_linear", `beta_schedule: ${quoted(config.beta_schedule)}`],
    [config.trained_betas !== null && config.trained_betas !== undefined, "trained_betas"],
    // The first timestep has no signal at all, so that x0 = (sample - noise) / 0.
    [
      config.rescale_betas_zero_snr && config.prediction_type === "epsilon",
      "epsilon with rescale_betas_zero_snr",
    ],
  ]);
  return config;
}

/** Signal power left at each training timestep, from nearly 1 down to 0 with `rescale_betas_zero_snr`. */
export function cogVideoXAlphasCumprod(config: CogVideoXSchedulerConfig): number[] {
  const { num_train_timesteps: total, snr_shift_scale: shift } = config;
  const roots = torchLinspace(Math.sqrt(config.beta_start), Math.sqrt(config.beta_end), total);
  let product = 1;
  const alphas = roots.map((root) => {
    product *= 1 - root ** 2;
    return product / (shift + (1 - shift) * product);
  });
  if (!config.rescale_betas_zero_snr) return alphas;
  const first = Math.sqrt(alphas[0]!);
  const last = Math.sqrt(alphas[total - 1]!);
  return alphas.map((alpha) => ((Math.sqrt(alpha) - last) * (first / (first - last))) ** 2);
}

/**
 * Integer timesteps, highest first: exactly `steps` of them, for any number from 1 to `num_train_timesteps`.
 * @throws ConfigError `SCHEDULER_CONFIG_INVALID` where `steps_offset` leads out of the noise levels of training
 */
export function cogVideoXTimesteps(config: CogVideoXSchedulerConfig, steps: number): number[] {
  const timesteps = spacedTimesteps(config, steps);
  const bad = timesteps.find((timestep) => timestep < 0 || timestep >= config.num_train_timesteps);
  if (bad === undefined) return timesteps;
  throw new ConfigError(
    "SCHEDULER_CONFIG_INVALID",
    `steps_offset ${config.steps_offset} with ${steps} steps gives the timestep ${bad}; training had ` +
      `0 to ${config.num_train_timesteps - 1}`,
    { where: "scheduler_config.json", fix: "Take fewer steps, or compare the file with the original." },
  );
}

function spacedTimesteps(config: CogVideoXSchedulerConfig, steps: number): number[] {
  const total = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case "linspace":
      return linspace(0, total - 1, steps)
        .map(roundHalfEven)
        .reverse();
    case "leading": {
      const ratio = Math.floor(total / steps);
      return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * ratio + config.steps_offset);
    }
    case "trailing": {
      // The values of numpy's arange, rounding errors included, but never one too many: where total / ratio is
      // rounded up, arange ends with a timestep of -1, for which there is no noise level.
      const difference = total - total / steps - total;
      return Array.from({ length: steps }, (_, i) => roundHalfEven(total + i * difference) - 1);
    }
  }
}

/** x0 from the model output, over `sample` and `modelOutput`. */
export function cogVideoXCleanSample(config: CogVideoXSchedulerConfig, alpha: number): StepTerm[] {
  return cleanSample(config.prediction_type, { signal: Math.sqrt(alpha), noise: Math.sqrt(1 - alpha) });
}
