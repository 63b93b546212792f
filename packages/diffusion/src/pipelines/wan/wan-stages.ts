/** Which of its transformers a Wan checkpoint works with, and when. Source: diffusers `WanPipeline.__call__`. */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";
import { componentEntries, type ModelIndex } from "../../checkpoint/checkpoint-folder.js";
import { parseConfig } from "../../models/model-config.js";
import type { Scheduler } from "../../schedulers/index.js";
import { badOption } from "../bad-option.js";

const INDEX = "model_index.json";
const schema = z.looseObject({ boundary_ratio: z.number().min(0).max(1).nullable().default(null) });

export interface WanStages {
  /** Names of the components, high noise first. */
  readonly components: readonly string[];
  /** Share of the noise schedule below which the second one works; undefined where there is one. */
  readonly boundary: number | undefined;
  readonly notes: readonly string[];
}

/** @throws ConfigError for a transformer that some steps need and that is not listed */
export function wanStages(index: ModelIndex): WanStages {
  const { boundary_ratio: boundary } = parseConfig(schema, index, index._class_name, INDEX);
  const listed = new Set(componentEntries(index).map(({ name }) => name));
  const [high, low] = ["transformer", "transformer_2"] as const;
  if (!listed.has(high) && !listed.has(low)) {
    throw new ConfigError("NOT_A_CHECKPOINT", "model_index.json lists no transformer", {
      where: INDEX,
      fix: "Use the model_index.json that the checkpoint was published with.",
    });
  }
  const ratio = boundary ?? 0;
  const needed = [...(ratio < 1 ? [high] : []), ...(ratio > 0 ? [low] : [])];
  const missing = needed.find((name) => !listed.has(name));
  if (missing !== undefined) {
    throw new ConfigError(
      "MISSING_COMPONENT",
      `boundary_ratio is ${boundary}, so that some steps need ${missing}, which is not listed`,
      {
        where: INDEX,
        fix: "Download the whole checkpoint, or take model_index.json from where it was published.",
      },
    );
  }
  const unused = [high, low].filter((name) => listed.has(name) && !needed.includes(name));
  return {
    components: needed,
    boundary: needed.length > 1 ? ratio : undefined,
    notes: unused.map((name) => `${name} was not used: boundary_ratio is ${boundary}.`),
  };
}

/**
 * First step of the second transformer: the high-noise one works down to the boundary, unless a step is given. Infinite
 * where there is no second one.
 *
 * @param boundary share of the noise schedule; undefined where there is one transformer
 */
export function secondStageFrom(
  boundary: number | undefined,
  { timesteps, numTrainTimesteps }: Scheduler,
  given: number | undefined,
): number {
  if (boundary === undefined) return Number.POSITIVE_INFINITY;
  if (given !== undefined) {
    if (given <= timesteps.length) return given;
    throw badOption(
      `boundaryStepIndex is ${given}, and there are ${timesteps.length} steps`,
      "Give a step of the run, or leave boundaryStepIndex out.",
    );
  }
  const first = timesteps.findIndex((timestep) => timestep < boundary * numTrainTimesteps);
  return first < 0 ? Number.POSITIVE_INFINITY : first;
}
