/**
 * Few steps of a model that was distilled by distribution matching (DMD2, arXiv 2405.14867): each predicts the clean
 * clip, and fresh noise of the next level is added. Source: FastVideo, `DmdDenoisingStage` and its scheduler's table.
 *
 * The model hears the steps of its list as they are; their noise levels are those of the nearest entries of a shifted
 * table of training timesteps.
 */
import { UsageError } from "@lvsa/runtime";
import * as z from "zod";
import { assertSigmas, shiftSigmas } from "./noise-levels.js";
import { assertStepCount, BaseScheduler, type SetTimestepsOptions } from "./scheduler.js";
import { optional, parseSchedulerConfig, trainTimesteps, unknownKeys } from "./scheduler-config.js";
import { renoisingStep, type StepPlan } from "./step-plan.js";

const configSchema = z.looseObject({
  num_train_timesteps: optional(trainTimesteps, 1000),
  shift: optional(z.number().positive(), 8),
  /** Timesteps to denoise at, where `setTimesteps` is given no levels. */
  dmd_denoising_steps: optional(z.array(z.number().min(0)).min(1).max(1000), [1000, 757, 522]),
  /** Replace each of them by the entry of the shifted table at its place. */
  warp_denoising_step: optional(z.boolean(), false),
});

export type DMDConfig = z.output<typeof configSchema>;

const NAME = "DMDScheduler";
const { fround } = Math;

export class DMDScheduler extends BaseScheduler {
  readonly className = NAME;
  readonly numTrainTimesteps: number;
  override readonly flowShiftKey = "shift" as const;
  override readonly takesSigmas = true;
  override readonly defaultSteps: number;
  readonly config: DMDConfig;
  /** Shifted noise levels of the training timesteps, the highest first. */
  readonly #table: readonly number[];

  private constructor(config: DMDConfig) {
    super(unknownKeys(configSchema, config));
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    this.defaultSteps = config.dmd_denoising_steps.length;
    const total = config.num_train_timesteps;
    const levels = Array.from({ length: total }, (_, k) => fround((total - k) / total));
    this.#table = shiftSigmas(levels, config.shift, fround);
  }

  /** From keys as FastVideo names them: `dmd_denoising_steps`, `shift`, `warp_denoising_step`. */
  static fromConfig(json: unknown): DMDScheduler {
    return new DMDScheduler(parseSchedulerConfig(configSchema, json, NAME));
  }

  /** `sigmas`: the list as shares of the training timesteps. Without them the configuration's list has to fit. */
  setTimesteps(numInferenceSteps: number, { sigmas }: SetTimestepsOptions = {}): void {
    const total = this.numTrainTimesteps;
    assertStepCount(numInferenceSteps, total);
    const list = sigmas?.map((sigma) => sigma * total) ?? this.config.dmd_denoising_steps;
    if (list.length !== numInferenceSteps) {
      const steps = `${numInferenceSteps} inference steps; ${NAME} has a list of ${list.length}`;
      throw new UsageError("STEPS_INVALID", steps, {
        fix: "Pass one sigma for each step, or as many steps.",
      });
    }
    assertSigmas(
      list.map((timestep) => timestep / total),
      numInferenceSteps,
    );
    const timesteps = list.map((timestep) =>
      fround(this.config.warp_denoising_step ? this.#warped(timestep) : timestep),
    );
    this.startRun(timesteps, [...timesteps.map((timestep) => this.#nearestLevel(timestep)), 0]);
  }

  protected planStep(stepIndex: number): StepPlan {
    return renoisingStep(stepIndex, this.sigmas, stepIndex + 1 < this.timesteps.length ? 1 : 0);
  }

  /** Entry `total - timestep` of the table as a timestep; below its last entry there is none, and 0 is meant. */
  #warped(timestep: number): number {
    return (this.#table[Math.round(this.numTrainTimesteps - timestep)] ?? 0) * this.numTrainTimesteps;
  }

  #nearestLevel(timestep: number): number {
    const distance = (sigma: number) => Math.abs(sigma * this.numTrainTimesteps - timestep);
    return this.#table.reduce((best, sigma) => (distance(sigma) < distance(best) ? sigma : best));
  }
}
