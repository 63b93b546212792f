/** The scheduler of a run: the checkpoint's, or the one that was asked for, with its shift and its levels. */
import { quoted } from "@lvsa/runtime";
import { createSchedulerOf, type Scheduler, type SchedulerClasses } from "../schedulers/index.js";
import { badOption } from "./bad-option.js";
import { withoutEffect } from "./notes.js";
import type { GenerateOptions, GenerationDefaults } from "./video-pipeline.js";

export interface RunScheduler {
  /** After `setTimesteps`. */
  readonly scheduler: Scheduler;
  readonly steps: number;
  /** For metadata. */
  readonly used: Readonly<Record<"scheduler" | "sigmas", string | null>> & {
    readonly flow_shift: number | null;
  };
  readonly notes: readonly string[];
}

export interface SchedulerSource {
  /** Those that the family runs with. */
  readonly classes: SchedulerClasses;
  /** The parsed `scheduler_config.json`. */
  readonly config: unknown;
  /** Levels that the family's pipeline hands to the checkpoint's own scheduler. */
  readonly familySigmas?: (steps: number, scheduler: Scheduler) => readonly number[] | undefined;
}

type Config = Readonly<Record<string, unknown>>;

/**
 * Steps are those asked for, else one for each given level, else those of the scheduler's own list, else the model's.
 *
 * @throws UsageError `BAD_OPTION` for a class that the family does not run with, for levels that contradict the number of steps or that the scheduler does not take
 */
export function runScheduler(
  { classes, config, familySigmas }: SchedulerSource,
  given: Pick<GenerateOptions, "scheduler" | "sigmas" | "flowShift" | "numInferenceSteps">,
  defaults: Pick<GenerationDefaults, "numInferenceSteps">,
): RunScheduler {
  const { sigmas, flowShift } = given;
  const own = createSchedulerOf(classes, config);
  const wanted = given.scheduler === undefined ? undefined : wantedConfig(given.scheduler, config as Config);
  if (wanted && !Object.hasOwn(classes, String(wanted._class_name))) {
    throw badOption(
      `scheduler: this model does not run with ${quoted(wanted._class_name)}`,
      `Those that it runs with: ${Object.keys(classes).join(", ")}.`,
    );
  }
  const unshifted = wanted ? createSchedulerOf(classes, wanted) : own;
  const key = unshifted.flowShiftKey;
  const scheduler =
    flowShift !== undefined && key !== undefined
      ? createSchedulerOf(classes, wanted ?? config, { [key]: flowShift })
      : unshifted;
  const name = scheduler.className;
  if (sigmas && !scheduler.takesSigmas) {
    throw badOption(
      `sigmas were given, and ${name} of this configuration takes none`,
      "Leave sigmas out, or choose another scheduler.",
    );
  }
  const steps =
    given.numInferenceSteps ?? sigmas?.length ?? scheduler.defaultSteps ?? defaults.numInferenceSteps;
  if (sigmas && sigmas.length !== steps) {
    throw badOption(
      `${sigmas.length} sigmas and ${steps} steps were asked for: each step has one`,
      "Leave numInferenceSteps out, or give as many.",
    );
  }
  const levels = sigmas ?? (wanted ? undefined : familySigmas?.(steps, scheduler));
  scheduler.setTimesteps(steps, levels ? { sigmas: levels } : {});
  const why = `the noise levels of ${name} are not shifted`;
  return {
    ...{ scheduler, steps },
    used: {
      scheduler: wanted ? name : null,
      sigmas: sigmas ? sigmas.join(", ") : null,
      flow_shift: flowShift !== undefined && key !== undefined ? flowShift : null,
    },
    notes: [
      ...(flowShift !== undefined && key === undefined ? [withoutEffect("flowShift", why)] : []),
      ...configNotes(typeof given.scheduler === "object" ? scheduler : own),
    ],
  };
}

/** What a configuration says that has no effect, and what a model of a flow will not become a picture with. */
function configNotes({ className, config, unknownKeys }: Scheduler): string[] {
  const notes: string[] = [];
  if (unknownKeys.length > 0)
    notes.push(
      `the scheduler's configuration has ${unknownKeys.join(", ")}, which ${className} does not know.`,
    );
  const { prediction_type: predicted, use_flow_sigmas: isFlow } = config;
  if (isFlow === false || (isFlow && predicted !== "flow_prediction"))
    notes.push(
      `${className} runs with use_flow_sigmas ${String(isFlow)} and prediction_type ${String(predicted)}, as its configuration ` +
        "(or the class's defaults) say; a model of a flow makes noise of that. Compare scheduler_config.json with the original.",
    );
  return notes;
}

/**
 * A class by name works with the checkpoint's configuration, as with diffusers' `from_config`, and keeps the shift,
 * whose key differs from class to class. An object is the whole configuration.
 */
function wantedConfig(wanted: NonNullable<GenerateOptions["scheduler"]>, config: Config): Config {
  if (typeof wanted !== "string") return wanted;
  if (wanted === config._class_name) return config;
  const { shift = config.flow_shift, ...rest } = config;
  // FastVideo's list was trained with a shift of its own.
  if (wanted === "DMDScheduler") return { ...rest, _class_name: wanted };
  return {
    ...rest,
    ...(shift === undefined ? {} : { shift, flow_shift: shift }),
    // The only class of a flow whose own defaults are not a flow's.
    ...(wanted.startsWith("UniPC") ? { use_flow_sigmas: true, prediction_type: "flow_prediction" } : {}),
    _class_name: wanted,
  };
}
