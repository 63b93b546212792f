/** The scheduler that a checkpoint's `scheduler_config.json` names. */
import { ConfigError, quoted } from "@lvsa/runtime";
import { CogVideoXDDIMScheduler } from "./ddim-cogvideox.js";
import { CogVideoXDPMScheduler } from "./dpm-cogvideox.js";
import { FlowMatchEulerDiscreteScheduler } from "./flow-match-euler-discrete.js";
import type { Scheduler } from "./scheduler.js";
import { UniPCMultistepScheduler } from "./unipc-multistep.js";

const schedulers: Readonly<Record<string, (config: unknown) => Scheduler>> = {
  UniPCMultistepScheduler: UniPCMultistepScheduler.fromConfig,
  FlowMatchEulerDiscreteScheduler: FlowMatchEulerDiscreteScheduler.fromConfig,
  CogVideoXDDIMScheduler: CogVideoXDDIMScheduler.fromConfig,
  CogVideoXDPMScheduler: CogVideoXDPMScheduler.fromConfig,
};

/**
 * `config` is the parsed `scheduler_config.json`; `overrides` replaces keys of it (for example `flow_shift`).
 * Throws `ConfigError` for an unknown class or an option that is not supported.
 */
export function createScheduler(
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
  const create = typeof name === "string" && Object.hasOwn(schedulers, name) ? schedulers[name] : undefined;
  if (!create) {
    const seen = name === undefined ? "no class (_class_name)" : quoted(name);
    throw new ConfigError("SCHEDULER_UNKNOWN", `unknown scheduler: the configuration names ${seen}`, {
      where: "scheduler_config.json",
      fix: `Known classes: ${Object.keys(schedulers).join(", ")}.`,
    });
  }
  return create(merged);
}
