/** Which denoising steps run sparse: early steps lay out the clip, and some users keep them dense. */
import * as z from "zod/mini";

const step = z.int().check(z.minimum(0));

/** Steps from the first to the last, both counted from 0 and both included. */
export interface ScheduledSteps {
  readonly steps: readonly [first: number, last: number];
  readonly attention: "dense" | "lvsa";
}

export const scheduleSchema = z
  .array(
    z
      .strictObject({ steps: z.tuple([step, step]), attention: z.enum(["dense", "lvsa"]) })
      .check(z.refine(({ steps: [first, last] }) => first <= last, "the first step comes after the last")),
  )
  .check(
    z.refine(
      (entries) =>
        [...entries]
          .sort((a, b) => a.steps[0] - b.steps[0])
          .every(({ steps }, i, sorted) => i === 0 || steps[0] > sorted[i - 1]!.steps[1]),
      "two entries are for one step",
    ),
  );

/** What a step runs; `lvsa` where no entry is for it. */
export function scheduledAttention(
  schedule: readonly ScheduledSteps[],
  step: number,
): ScheduledSteps["attention"] {
  return schedule.find(({ steps: [first, last] }) => step >= first && step <= last)?.attention ?? "lvsa";
}

/** Entries for steps that a generation of `count` steps does not have, as a line; undefined without any, or where nobody counts. */
export function unreachedSteps(
  schedule: readonly ScheduledSteps[],
  count: number | undefined,
): string | undefined {
  if (count === undefined) return undefined;
  const beyond = schedule.filter(({ steps: [, last] }) => last >= count).map(({ steps }) => steps.join("-"));
  if (beyond.length === 0) return undefined;
  return `the schedule's steps ${beyond.join(", ")} reach beyond the ${count} steps of this generation`;
}
