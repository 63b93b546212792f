/** Deterministic DDIM for CogVideoX. Behaves as diffusers' `CogVideoXDDIMScheduler` with eta 0. */
import { CogVideoXScheduler } from "./cogvideox-scheduler.js";
import { type StepPlan, terms } from "./step-plan.js";

export class CogVideoXDDIMScheduler extends CogVideoXScheduler {
  /** From the parsed `scheduler_config.json`. */
  static fromConfig(json: unknown): CogVideoXDDIMScheduler {
    return new CogVideoXDDIMScheduler("CogVideoXDDIMScheduler", json);
  }

  protected planStep(stepIndex: number): StepPlan {
    const { alpha, alphaPrevious, x0 } = this.levelsOf(stepIndex);
    const sample = Math.sqrt((1 - alphaPrevious) / (1 - alpha));
    return {
      stepIndex,
      x0,
      next: terms(["sample", sample], ["x0[0]", Math.sqrt(alphaPrevious) - Math.sqrt(alpha) * sample]),
      noiseDraws: 0,
      history: 0,
    };
  }
}
