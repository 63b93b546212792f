/** Timesteps and noise levels of UniPC, as diffusers' `UniPCMultistepScheduler.set_timesteps` makes them. */
import { ConfigError } from "@lvsa/runtime";
import { roundHalfEven } from "../numbers/round-half-even.js";
import { alphasCumprod, type BetaSchedule, noiseRatios } from "./beta-schedule.js";
import {
  exponentialSigmas,
  karrasSigmas,
  linspace,
  shiftSigmas,
  stretchToTerminal,
  timeShift,
} from "./noise-levels.js";
import type { SetTimestepsOptions } from "./scheduler.js";
import { NEEDS_MU_FIX } from "./scheduler-config.js";

export interface UnipcLevelsConfig extends BetaSchedule {
  readonly use_flow_sigmas: boolean;
  readonly use_karras_sigmas: boolean;
  readonly use_exponential_sigmas: boolean;
  readonly flow_shift: number;
  readonly use_dynamic_shifting: boolean;
  readonly time_shift_type: "exponential" | "linear";
  readonly shift_terminal?: number | null | undefined;
  readonly sigma_min?: number | null | undefined;
  readonly sigma_max?: number | null | undefined;
  readonly final_sigmas_type: "zero" | "sigma_min";
  readonly timestep_spacing: "linspace" | "leading" | "trailing";
  readonly steps_offset: number;
}

export interface UnipcLevels {
  readonly timesteps: readonly number[];
  /** One more than timesteps, in float32. Shares of noise for a flow, noise over signal otherwise. */
  readonly sigmas: readonly number[];
}

/** Integer timesteps are cut off, not rounded, unless diffusers rounds them. */
export function unipcLevels(
  config: UnipcLevelsConfig,
  steps: number,
  options: SetTimestepsOptions,
): UnipcLevels {
  const { use_flow_sigmas: isFlow, num_train_timesteps: total } = config;
  const isSpread = config.use_karras_sigmas || config.use_exponential_sigmas;
  if (isFlow) {
    const sigmas = isSpread ? flowOfRatios(config, steps, options) : flowSigmas(config, steps, options);
    return withEnd(
      config,
      sigmas.map((sigma) => Math.trunc(sigma * total)),
      sigmas,
      sigmas.at(-1)!,
    );
  }
  const ratios = noiseRatios(alphasCumprod(config));
  if (!isSpread) {
    const timesteps = spacedTimesteps(config, steps);
    const last = ratios.length - 1;
    const sigmas = timesteps.map((timestep) => ratios[Math.min(Math.max(timestep, 0), last)]!);
    return withEnd(config, timesteps, sigmas, ratios[0]!);
  }
  const sigmas = spread(config, steps, ratios[0]!, ratios.at(-1)!);
  const logs = ratios.map(Math.log);
  const places = sigmas.map((sigma) => timestepOf(Math.log(Math.max(sigma, 1e-10)), logs));
  const timesteps = places.map(config.use_karras_sigmas ? roundHalfEven : Math.trunc);
  return withEnd(config, timesteps, sigmas, sigmas.at(-1)!);
}

function withEnd(
  { final_sigmas_type }: UnipcLevelsConfig,
  timesteps: readonly number[],
  sigmas: readonly number[],
  lowest: number,
): UnipcLevels {
  return { timesteps, sigmas: [...sigmas, final_sigmas_type === "zero" ? 0 : lowest].map(Math.fround) };
}

/** Between the configured bounds, else between those of training (or of given levels). */
function spread(config: UnipcLevelsConfig, steps: number, lowest: number, highest: number): number[] {
  const curve = config.use_karras_sigmas ? karrasSigmas : exponentialSigmas;
  return curve(config.sigma_min ?? lowest, config.sigma_max ?? highest, steps);
}

function flowOfRatios(config: UnipcLevelsConfig, steps: number, { sigmas }: SetTimestepsOptions): number[] {
  const ratios = sigmas ? [sigmas.at(-1)!, sigmas[0]!] : boundsOfTraining(config);
  return spread(config, steps, ratios[0]!, ratios[1]!).map((sigma) => sigma / (sigma + 1));
}

function boundsOfTraining(config: UnipcLevelsConfig): [number, number] {
  const ratios = noiseRatios(alphasCumprod(config));
  return [ratios[0]!, ratios.at(-1)!];
}

function flowSigmas(config: UnipcLevelsConfig, steps: number, options: SetTimestepsOptions): number[] {
  let sigmas: number[] = options.sigmas
    ? [...options.sigmas]
    : linspace(1, 1 / config.num_train_timesteps, steps + 1).slice(0, -1);
  if (config.use_dynamic_shifting) {
    if (options.mu === undefined) {
      throw new ConfigError(
        "SCHEDULER_NEEDS_MU",
        "UniPCMultistepScheduler with use_dynamic_shifting was given no mu",
        { fix: NEEDS_MU_FIX },
      );
    }
    sigmas = timeShift(sigmas, options.mu, config.time_shift_type);
  } else {
    sigmas = shiftSigmas(sigmas, config.flow_shift);
  }
  if (config.shift_terminal) sigmas = stretchToTerminal(sigmas, config.shift_terminal);
  // At sigma 1 there is no signal, and the logarithm of the signal would be infinite.
  if (Math.abs(sigmas[0]! - 1) < 1e-6) sigmas[0]! -= 1e-6;
  return sigmas;
}

/** Integer timesteps of training, highest first: exactly `steps` of them. */
function spacedTimesteps(config: UnipcLevelsConfig, steps: number): number[] {
  const { num_train_timesteps: total, timestep_spacing: spacing, steps_offset: offset } = config;
  if (spacing === "trailing") {
    return Array.from({ length: steps }, (_, i) => roundHalfEven(total - i * (total / steps)) - 1);
  }
  const ratio = Math.floor(total / (steps + 1));
  const rising =
    spacing === "linspace"
      ? linspace(0, total - 1, steps + 1).map(roundHalfEven)
      : Array.from({ length: steps + 1 }, (_, i) => i * ratio + offset);
  return rising.slice(1).reverse();
}

/** Where a level lies between those of training, by its logarithm. */
function timestepOf(log: number, logs: readonly number[]): number {
  const above = logs.findIndex((one) => one > log);
  const low = Math.min(Math.max((above < 0 ? logs.length : above) - 1, 0), logs.length - 2);
  const weight = (logs[low]! - log) / (logs[low]! - logs[low + 1]!);
  const share = Math.min(Math.max(weight, 0), 1);
  return (1 - share) * low + share * (low + 1);
}
