/** Deterministic DDIM for CogVideoX. Behaves as diffusers' `CogVideoXDDIMScheduler` with eta 0. */
import {
  type CogVideoXSchedulerConfig,
  cogVideoXAlphasCumprod,
  cogVideoXCleanSample,
  cogVideoXTimesteps,
  parseCogVideoXConfig,
  unknownCogVideoXKeys,
} from "./cogvideox-schedule.js";
import { assertStepCount, BaseScheduler } from "./scheduler.js";
import { type StepPlan, terms } from "./step-plan.js";

const NAME = "CogVideoXDDIMScheduler";

export class CogVideoXDDIMScheduler extends BaseScheduler {
  readonly className = NAME;
  readonly numTrainTimesteps: number;
  readonly config: CogVideoXSchedulerConfig;
  /** Signal power by training timestep. */
  readonly alphasCumprod: readonly number[];
  #numInferenceSteps = 0;

  private constructor(config: CogVideoXSchedulerConfig) {
    super(unknownCogVideoXKeys(config));
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    this.alphasCumprod = cogVideoXAlphasCumprod(config);
  }

  /** From the parsed `scheduler_config.json`. */
  static fromConfig(json: unknown): CogVideoXDDIMScheduler {
    return new CogVideoXDDIMScheduler(parseCogVideoXConfig(json, NAME));
  }

  setTimesteps(numInferenceSteps: number): void {
    assertStepCount(numInferenceSteps, this.numTrainTimesteps);
    this.#numInferenceSteps = numInferenceSteps;
    this.startRun(cogVideoXTimesteps(this.config, numInferenceSteps), []);
  }

  protected planStep(stepIndex: number): StepPlan {
    const timestep = this.timesteps[stepIndex]!;
    // Not always the next scheduled timestep.
    const previous = timestep - Math.floor(this.numTrainTimesteps / this.#numInferenceSteps);
    const alpha = this.alphasCumprod[timestep]!;
    const final = this.config.set_alpha_to_one ? 1 : this.alphasCumprod[0]!;
    const alphaPrevious = previous >= 0 ? this.alphasCumprod[previous]! : final;
    const sample = Math.sqrt((1 - alphaPrevious) / (1 - alpha));
    return {
      stepIndex,
      x0: cogVideoXCleanSample(this.config, alpha),
      next: terms(["sample", sample], ["x0[0]", Math.sqrt(alphaPrevious) - Math.sqrt(alpha) * sample]),
      noiseDraws: 0,
      history: 0,
    };
  }
}
