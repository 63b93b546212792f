/**
 * Few steps of a model that was distilled by rCM (arXiv 2510.08431): levels are angles between clip and noise, each
 * step predicts the clean clip, and fresh noise of the next level is added. Source: TurboDiffusion's sampling loop.
 */
import { UsageError } from "@lvsa/runtime";
import * as z from "zod";
import { BaseScheduler } from "./scheduler.js";
import { optional, parseSchedulerConfig, trainTimesteps, unknownKeys } from "./scheduler-config.js";
import { renoisingStep, type StepPlan } from "./step-plan.js";

const configSchema = z.looseObject({
  num_train_timesteps: optional(trainTimesteps, 1000),
  /** Noise divided by signal at the first step. */
  sigma_max: optional(z.number().positive(), 80),
  /** Angles of the steps after the first one, in radians. */
  mid_t: optional(
    z
      .array(
        z
          .number()
          .positive()
          .lt(Math.PI / 2),
      )
      .max(999),
    [1.5, 1.4, 1.0],
  ),
});

export type RCMConfig = z.output<typeof configSchema>;

const NAME = "RCMScheduler";
const { fround } = Math;

export class RCMScheduler extends BaseScheduler {
  readonly className = NAME;
  readonly numTrainTimesteps: number;
  override readonly initNoiseSigma: number;
  override readonly defaultSteps: number;
  readonly config: RCMConfig;

  private constructor(config: RCMConfig) {
    super(unknownKeys(configSchema, config));
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    this.defaultSteps = config.mid_t.length + 1;
    this.initNoiseSigma = levelOfAngle(Math.atan(config.sigma_max));
  }

  /** From keys as TurboDiffusion names them: `sigma_max`, `mid_t`. */
  static fromConfig(json: unknown): RCMScheduler {
    return new RCMScheduler(parseSchedulerConfig(configSchema, json, NAME));
  }

  /** @throws UsageError `STEPS_INVALID` where there are fewer angles than steps */
  setTimesteps(numInferenceSteps: number): void {
    const { sigma_max, mid_t } = this.config;
    const limit = mid_t.length + 1;
    if (!Number.isInteger(numInferenceSteps) || numInferenceSteps < 1 || numInferenceSteps > limit) {
      throw new UsageError(
        "STEPS_INVALID",
        `${numInferenceSteps} inference steps; ${NAME} takes 1 to ${limit}`,
        {
          fix: "Pass a whole number of steps in that range, or more angles (mid_t).",
        },
      );
    }
    const angles = [Math.atan(sigma_max), ...mid_t.slice(0, numInferenceSteps - 1)];
    const levels = angles.map((angle) => fround(levelOfAngle(angle)));
    this.startRun(
      levels.map((level) => fround(level * this.numTrainTimesteps)),
      [...levels, 0],
    );
  }

  protected planStep(stepIndex: number): StepPlan {
    // On the last step too, where the noise counts nothing, as the source draws it.
    return renoisingStep(stepIndex, this.sigmas, 1);
  }
}

/** Share of noise where noise and signal are the sine and the cosine of an angle. */
function levelOfAngle(angle: number): number {
  return Math.sin(angle) / (Math.cos(angle) + Math.sin(angle));
}
