/** What CogVideoX's two schedulers share: their noise levels, and which of them a step leads from and to. */
import {
  type CogVideoXSchedulerConfig,
  cogVideoXAlphasCumprod,
  cogVideoXCleanSample,
  cogVideoXTimesteps,
  parseCogVideoXConfig,
  unknownCogVideoXKeys,
} from "./cogvideox-schedule.js";
import { assertStepCount, BaseScheduler } from "./scheduler.js";
import type { StepTerm } from "./step-plan.js";

/** Signal power where a step begins and ends. */
export interface CogVideoXStep {
  readonly alpha: number;
  readonly alphaPrevious: number;
  /** Whether it ends without noise, behind the last timestep. */
  readonly isLast: boolean;
  /** x0 from the model output. */
  readonly x0: StepTerm[];
}

export abstract class CogVideoXScheduler extends BaseScheduler {
  readonly className: string;
  readonly numTrainTimesteps: number;
  readonly config: CogVideoXSchedulerConfig;
  /** Signal power by training timestep. */
  readonly alphasCumprod: readonly number[];
  #numInferenceSteps = 0;

  /** @param json the parsed `scheduler_config.json` */
  protected constructor(className: string, json: unknown) {
    const config = parseCogVideoXConfig(json, className);
    super(unknownCogVideoXKeys(config));
    this.className = className;
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    this.alphasCumprod = cogVideoXAlphasCumprod(config);
  }

  setTimesteps(numInferenceSteps: number): void {
    assertStepCount(numInferenceSteps, this.numTrainTimesteps);
    this.#numInferenceSteps = numInferenceSteps;
    this.startRun(cogVideoXTimesteps(this.config, numInferenceSteps), []);
  }

  protected levelsOf(stepIndex: number): CogVideoXStep {
    const timestep = this.timesteps[stepIndex]!;
    // Not always the next scheduled timestep.
    const previous = timestep - Math.floor(this.numTrainTimesteps / this.#numInferenceSteps);
    const alpha = this.alphasCumprod[timestep]!;
    const final = this.config.set_alpha_to_one ? 1 : this.alphasCumprod[0]!;
    const isLast = previous < 0;
    const alphaPrevious = isLast ? final : this.alphasCumprod[previous]!;
    return { alpha, alphaPrevious, isLast, x0: cogVideoXCleanSample(this.config, alpha) };
  }
}
