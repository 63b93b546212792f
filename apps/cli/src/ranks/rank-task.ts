/** What the process of a rank is told: the run that rank 0 began, so that it runs the same. */
import * as z from "zod";
import type { GivenOptions } from "../generate/run-record.js";
import { type ParallelFields, worldSize } from "../options/parallel-options.js";

export const rankTask = z.object({
  /** As they were typed. */
  given: z.custom<GivenOptions>((value) => typeof value === "object" && value !== null),
  /** Paths in the options are seen from here. */
  folder: z.string(),
  /** Digits; null where the run's state has it. */
  seed: z.string().nullable(),
  /** The file of a run that goes on. */
  resume: z.string().nullable(),
  /** One for each rank, named or chosen by rank 0; null: `--device` for all. */
  devices: z.array(z.string()).readonly().nullable(),
});
export type RankTask = z.infer<typeof rankTask>;

/** Ranks of one rank's groups: those that share its clip, and those that share its guidance. Ranks of a clip are neighbours. */
export function groupsOf(rank: number, options: ParallelFields): { context: number[]; guidance: number[] } {
  const { cfgParallelSize, contextParallelSize: size } = options;
  const first = rank - (rank % size);
  return {
    context: Array.from({ length: size }, (_, i) => first + i),
    guidance: Array.from({ length: cfgParallelSize }, (_, i) => (rank % size) + i * size),
  };
}

/** What a rank opens. */
export function deviceOf(
  rank: number,
  devices: readonly string[] | null | undefined,
  { device }: { readonly device: string },
): string {
  return devices?.[rank] ?? device;
}

/** For people and records; undefined where there is one rank. */
export function ranksText(options: ParallelFields): string | undefined {
  if (worldSize(options) === 1) return undefined;
  const { cfgParallelSize: cfg, contextParallelSize: context } = options;
  return `${worldSize(options)} ranks (${[
    ...(cfg > 1 ? [`guidance on ${cfg}`] : []),
    ...(context > 1 ? [`frames on ${context}`] : []),
  ].join(", ")})`;
}
