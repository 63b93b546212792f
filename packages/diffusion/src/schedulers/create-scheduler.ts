/** The scheduler that a checkpoint's `scheduler_config.json` names. */
import { ConfigError, quoted } from "@lvsa/runtime";
import { CogVideoXDDIMScheduler } from "./ddim-cogvideox.js";
import { DMDScheduler } from "./dmd.js";
import { CogVideoXDPMScheduler } from "./dpm-cogvideox.js";
import { FlowMatchEulerDiscreteScheduler } from "./flow-match-euler-discrete.js";
import { FlowMatchLCMScheduler } from "./flow-match-lcm.js";
import { RCMScheduler } from "./rcm.js";
import type { Scheduler } from "./scheduler.js";
import { UniPCMultistepScheduler } from "./unipc-multistep.js";

/** Scheduler classes by the name that checkpoints give them. */
export type SchedulerClasses = Readonly<Record<string, (config: unknown) => Scheduler>>;

// Functions, because bundlers keep a constant that reads a property of a class.
/** For models that predict a velocity between noise and clip. */
export const FLOW_SCHEDULERS: SchedulerClasses = {
  UniPCMultistepScheduler: (config) => UniPCMultistepScheduler.fromConfig(config),
  FlowMatchEulerDiscreteScheduler: (config) => FlowMatchEulerDiscreteScheduler.fromConfig(config),
  FlowMatchLCMScheduler: (config) => FlowMatchLCMScheduler.fromConfig(config),
  DMDScheduler: (config) => DMDScheduler.fromConfig(config),
  RCMScheduler: (config) => RCMScheduler.fromConfig(config),
};

/** For CogVideoX, which counts the steps of a diffusion process. */
export const COGVIDEOX_SCHEDULERS: SchedulerClasses = {
  CogVideoXDDIMScheduler: (config) => CogVideoXDDIMScheduler.fromConfig(config),
  CogVideoXDPMScheduler: (config) => CogVideoXDPMScheduler.fromConfig(config),
};

/** The scheduler that a checkpoint names, of any family: see `createSchedulerOf`. */
export function createScheduler(
  config: unknown,
  overrides: Readonly<Record<string, unknown>> = {},
): Scheduler {
  return createSchedulerOf({ ...FLOW_SCHEDULERS, ...COGVIDEOX_SCHEDULERS }, config, overrides);
}

/**
 * `classes` are those that the model can run with; a bundle holds no others.
 * `config` is the parsed `scheduler_config.json`; `overrides` replaces keys of it (for example `flow_shift`).
 * Throws `ConfigError` for an unknown class or an option that is not supported.
 */
export function createSchedulerOf(
  classes: SchedulerClasses,
  config: unknown,
  overrides: Readonly<Record<string, unknown>> = {},
): Scheduler {
  if (typeof config !== "object" || config === null || Array.isArray(config))
    throw new ConfigError("SCHEDULER_CONFIG_INVALID", "the scheduler's configuration is no JSON object", {
      where: "scheduler_config.json",
      fix: "Compare the file with the checkpoint's original.",
    });
  const merged: Record<string, unknown> = { ...config, ...overrides };
  const name = merged._class_name;
  const create = typeof name === "string" && Object.hasOwn(classes, name) ? classes[name] : undefined;
  if (!create) {
    const seen = name === undefined ? "no class" : quoted(name);
    throw new ConfigError("SCHEDULER_UNKNOWN", `unknown scheduler: the checkpoint names ${seen}`, {
      // The first of the two counts, where it names one.
      where: "model_index.json, scheduler_config.json",
      fix: `Known classes: ${Object.keys(classes).join(", ")}.`,
    });
  }
  return create(merged);
}
