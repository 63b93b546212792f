/** A checkpoint's scheduler with the shift that a run asks for. */
import { createSchedulerOf, type Scheduler, type SchedulerClasses } from "../schedulers/index.js";
import { withoutEffect } from "./notes.js";

export interface ShiftedScheduler {
  readonly scheduler: Scheduler;
  /** For metadata. */
  readonly used: { readonly flow_shift: number | null };
  readonly notes: readonly string[];
}

/**
 * @param classes those that the family runs with
 * @param config the parsed `scheduler_config.json`; its key for the shift is the scheduler's own (`flow_shift`, `shift`)
 */
export function schedulerFor(
  classes: SchedulerClasses,
  config: unknown,
  flowShift: number | undefined,
): ShiftedScheduler {
  const scheduler = createSchedulerOf(classes, config);
  if (flowShift === undefined) return { scheduler, used: { flow_shift: null }, notes: [] };
  const key = scheduler.flowShiftKey;
  if (key) {
    const shifted = createSchedulerOf(classes, config, { [key]: flowShift });
    return { scheduler: shifted, used: { flow_shift: flowShift }, notes: [] };
  }
  const why = `the noise levels of this checkpoint's ${scheduler.className} are not shifted`;
  return { scheduler, used: { flow_shift: null }, notes: [withoutEffect("flowShift", why)] };
}
