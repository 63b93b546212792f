/**
 * What one denoising step does, as linear combinations of whole tensors. Coefficients are computed once in
 * float64; the same plan runs on the CPU (`applyStepPlan`) or as a few dispatches on the GPU.
 */

/**
 * A tensor that a term may use, all of latent shape:
 * - `sample`: the latents given to this step; `modelOutput`: the (guided) transformer output
 * - `noise`: the last of this step's `noiseDraws` normal draws
 * - `x0[0]`: this step's predicted clean latents; `x0[-1]`, `x0[-2]`: those of the steps before
 * - `corrected`: this step's corrected sample; `previousCorrected`: that of the step before
 */
export type StepTensor =
  | "sample"
  | "modelOutput"
  | "noise"
  | "corrected"
  | "previousCorrected"
  | `x0[${number}]`;

export interface StepTerm {
  readonly tensor: StepTensor;
  readonly coefficient: number;
}

/** To be computed in this order: `x0`, then `corrected` where there is one, then `next`. */
export interface StepPlan {
  readonly stepIndex: number;
  /** Over `sample` and `modelOutput`. */
  readonly x0: readonly StepTerm[];
  /** Multistep schedulers with a corrector only. Over `sample`, `previousCorrected` and every `x0[-k]`. */
  readonly corrected?: readonly StepTerm[];
  /** The latents of the next step. */
  readonly next: readonly StepTerm[];
  /** How many tensors of noise the step takes from the generator; only the last one is used. */
  readonly noiseDraws: number;
  /** How many earlier `x0` the plans of this scheduler may ask for. */
  readonly history: number;
}

/** A term list without the terms that vanish: 0 times an earlier infinity would be NaN on a GPU. */
export function terms(...list: readonly (readonly [StepTensor, number])[]): StepTerm[] {
  return list
    .filter(([, coefficient]) => coefficient !== 0)
    .map(([tensor, coefficient]) => ({ tensor, coefficient }));
}

/** A step to the clean sample of a flow and, with fresh noise, to the next of the `sigmas`. */
export function renoisingStep(stepIndex: number, sigmas: readonly number[], noiseDraws: number): StepPlan {
  const [level, next] = [sigmas[stepIndex]!, sigmas[stepIndex + 1]!];
  return {
    ...{ stepIndex, noiseDraws, history: 0 },
    x0: terms(["sample", 1], ["modelOutput", -level]),
    next: terms(["x0[0]", 1 - next], ["noise", next]),
  };
}
