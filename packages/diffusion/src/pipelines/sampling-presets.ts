/** Settings that few-step models were distilled for: scheduler, levels, shift and guidance belong together. */
import { badOption } from "./bad-option.js";
import type { GenerateOptions } from "./video-pipeline.js";

type PresetOptions = Required<Pick<GenerateOptions, "scheduler" | "guidanceScale" | "numInferenceSteps">> &
  Pick<GenerateOptions, "sigmas" | "flowShift" | "boundaryStepIndex">;

export interface SamplingPreset {
  /** For lists: what it is for. */
  readonly description: string;
  readonly families: readonly string[];
  readonly options: PresetOptions;
}

const FOUR_STEPS = { sigmas: [1, 0.75, 0.5, 0.25], flowShift: 5, numInferenceSteps: 4, guidanceScale: 1 };
/** With two transformers the second one takes over after the second step. */
const HALFWAY = { boundaryStepIndex: 2 };

/** By name. Sources: LightX2V's distillation configs, FastVideo's DMD stage and presets, TurboDiffusion's scripts, `training/demo-wan`. */
export const samplingPresets: Readonly<Record<string, SamplingPreset>> = {
  "lightx2v-4step": {
    description: "LightX2V's 4-step distillations and LoRAs (Wan 2.1, Wan 2.2 A14B, HunyuanVideo 1.5)",
    families: ["wan", "hunyuan"],
    options: { ...FOUR_STEPS, ...HALFWAY, scheduler: "FlowMatchEulerDiscreteScheduler" },
  },
  "lightx2v-4step-lcm": {
    description: "the same models with fresh noise at every step",
    families: ["wan", "hunyuan"],
    options: { ...FOUR_STEPS, ...HALFWAY, scheduler: "FlowMatchLCMScheduler" },
  },
  "fastwan-3step": {
    description: "FastWan 2.1 T2V 1.3B",
    families: ["wan"],
    options: dmd([1000, 757, 522], 8, false),
  },
  "fastwan-5b-3step": {
    description: "FastWan 2.2 TI2V 5B",
    families: ["wan"],
    options: dmd([1000, 757, 522], 5, false),
  },
  "self-forcing-4step": {
    description: "Self-Forcing, and DMD distillations of Wan 2.2 A14B",
    families: ["wan"],
    options: { ...dmd([1000, 750, 500, 250], 5, true), ...HALFWAY },
  },
  "demo-wan-4step": {
    description: "the LoRA that comes with @lvsa/demo-wan",
    families: ["wan"],
    options: { ...FOUR_STEPS, flowShift: 4, scheduler: "FlowMatchEulerDiscreteScheduler" },
  },
  "rcm-4step": {
    description: "rCM and TurboDiffusion with dense attention",
    families: ["wan"],
    options: { scheduler: { _class_name: "RCMScheduler" }, numInferenceSteps: 4, guidanceScale: 1 },
  },
};

function dmd(steps: readonly number[], shift: number, warps: boolean): PresetOptions {
  return {
    scheduler: { _class_name: "DMDScheduler", dmd_denoising_steps: steps, warp_denoising_step: warps },
    ...{ flowShift: shift, numInferenceSteps: steps.length, guidanceScale: 1 },
  };
}

/** Names of the presets of a family. */
export function presetNames(family: string): string[] {
  return Object.entries(samplingPresets).flatMap(([name, { families }]) =>
    families.includes(family) ? [name] : [],
  );
}

/**
 * The options with those of their preset; `note` says which these are.
 *
 * @param stages transformers of the checkpoint: with one there is no step at which they change
 * @throws UsageError `BAD_OPTION` for an unknown preset, and for an option that is given another value
 */
export function withPreset(
  given: GenerateOptions,
  family: string,
  stages: number,
): { readonly options: GenerateOptions; readonly note: string | undefined } {
  const { preset: name } = given;
  if (name === undefined) return { options: given, note: undefined };
  const preset = Object.hasOwn(samplingPresets, name) ? samplingPresets[name] : undefined;
  if (!preset?.families.includes(family)) {
    const start = preset ? `the preset ${name} is not for this model` : `unknown preset ${name}`;
    const names = presetNames(family);
    const known = names.length > 0 ? `Presets here: ${names.join(", ")}.` : "There are none for this model.";
    throw badOption(start, known);
  }
  const { boundaryStepIndex, ...rest } = preset.options;
  const sets = { ...rest, ...(stages > 1 && boundaryStepIndex !== undefined ? { boundaryStepIndex } : {}) };
  const set = Object.entries(sets) as [keyof typeof sets, unknown][];
  const contradicted = set.filter(
    ([option, value]) => given[option] !== undefined && text(given[option]) !== text(value),
  );
  if (contradicted.length > 0) {
    const options = contradicted.map(
      ([option, value]) => `${option} ${text(value)} (got ${text(given[option])})`,
    );
    throw badOption(
      `the preset ${name} sets ${options.join(", ")}`,
      "Leave these options out, or set scheduler, sigmas and flowShift without a preset.",
    );
  }
  const note = `Preset ${name}: ${set.map(([option, value]) => `${option} ${text(value)}`).join(", ")}.`;
  return { options: { ...given, ...sets }, note };
}

function text(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  if (typeof value !== "object" || value === null) return String(value);
  const { _class_name, ...rest } = value as Record<string, unknown>;
  const keys = Object.entries(rest).map(([key, one]) => `${key} ${text(one)}`);
  return keys.length > 0 ? `${String(_class_name)} (${keys.join("; ")})` : String(_class_name);
}
