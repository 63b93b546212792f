/**
 * Stochastic second-order DPM-Solver++ for CogVideoX. Behaves as diffusers' `CogVideoXDPMScheduler`: noise is
 * drawn at every step, even where its factor is 0, and twice in second-order steps, which use the second draw.
 */
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

const NAME = "CogVideoXDPMScheduler";

/** Half the log-SNR: -Infinity without signal, Infinity without noise. */
const lambda = (alpha: number): number => Math.log(Math.sqrt(alpha / (1 - alpha)));

export class CogVideoXDPMScheduler extends BaseScheduler {
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
  static fromConfig(json: unknown): CogVideoXDPMScheduler {
    return new CogVideoXDPMScheduler(parseCogVideoXConfig(json, NAME));
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

    // h is infinite when the step starts without signal or ends without noise; the factors are then 0 or 1.
    const h = lambda(alphaPrevious) - lambda(alpha);
    const sample = Math.sqrt((1 - alphaPrevious) / (1 - alpha)) * Math.exp(-h);
    const clean = -Math.expm1(-2 * h) * Math.sqrt(alphaPrevious);
    const noise = Math.sqrt(1 - alphaPrevious) * Math.sqrt(1 - Math.exp(-2 * h));

    const firstOrder = stepIndex === 0 || previous < 0;
    let extrapolation = 0;
    if (!firstOrder) {
      const before = this.alphasCumprod[this.timesteps[stepIndex - 1]!]!;
      extrapolation = h / (2 * (lambda(alpha) - lambda(before)));
    }
    return {
      stepIndex,
      x0: cogVideoXCleanSample(this.config, alpha),
      next: terms(
        ["sample", sample],
        ["x0[0]", clean * (1 + extrapolation)],
        ["x0[-1]", -clean * extrapolation],
        ["noise", noise],
      ),
      noiseDraws: firstOrder ? 1 : 2,
      history: 1,
    };
  }
}
