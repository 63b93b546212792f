/**
 * Stochastic second-order DPM-Solver++ for CogVideoX. Behaves as diffusers' `CogVideoXDPMScheduler`: noise is
 * drawn at every step, even where its factor is 0, and twice in second-order steps, which use the second draw.
 */
import { CogVideoXScheduler } from "./cogvideox-scheduler.js";
import { type StepPlan, terms } from "./step-plan.js";

/** Half the log-SNR: -Infinity without signal, Infinity without noise. */
const lambda = (alpha: number): number => Math.log(Math.sqrt(alpha / (1 - alpha)));

export class CogVideoXDPMScheduler extends CogVideoXScheduler {
  /** From the parsed `scheduler_config.json`. */
  static fromConfig(json: unknown): CogVideoXDPMScheduler {
    return new CogVideoXDPMScheduler("CogVideoXDPMScheduler", json);
  }

  protected planStep(stepIndex: number): StepPlan {
    const { alpha, alphaPrevious, isLast, x0 } = this.levelsOf(stepIndex);

    // h is infinite when the step starts without signal or ends without noise; the factors are then 0 or 1.
    const h = lambda(alphaPrevious) - lambda(alpha);
    const sample = Math.sqrt((1 - alphaPrevious) / (1 - alpha)) * Math.exp(-h);
    const clean = -Math.expm1(-2 * h) * Math.sqrt(alphaPrevious);
    const noise = Math.sqrt(1 - alphaPrevious) * Math.sqrt(1 - Math.exp(-2 * h));

    const firstOrder = stepIndex === 0 || isLast;
    let extrapolation = 0;
    if (!firstOrder) {
      const before = this.alphasCumprod[this.timesteps[stepIndex - 1]!]!;
      extrapolation = h / (2 * (lambda(alpha) - lambda(before)));
    }
    return {
      stepIndex,
      x0,
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
