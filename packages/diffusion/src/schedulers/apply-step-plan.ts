/** Runs step plans over `Float32Array`s. Sums are accumulated in float64 and rounded once. */
import { ConfigError, ShapeError } from "@lvsa/runtime";
import type { StepPlan, StepTensor, StepTerm } from "./step-plan.js";

/** What multistep schedulers remember from one step to the next. */
export interface StepHistory {
  /** Newest first. */
  readonly x0: readonly Float32Array[];
  readonly corrected?: Float32Array;
}

export interface StepResult {
  /** The latents of the next step. */
  readonly sample: Float32Array<ArrayBuffer>;
  /** This step's prediction of the clean latents, for previews. */
  readonly x0: Float32Array<ArrayBuffer>;
  readonly history: StepHistory;
}

/**
 * One step. All tensors have the latents' number of elements; results are new arrays and inputs are not kept.
 * `drawNoise` is called `plan.noiseDraws` times.
 */
export function applyStepPlan(
  plan: StepPlan,
  inputs: {
    readonly sample: Float32Array;
    readonly modelOutput: Float32Array;
    readonly drawNoise?: () => Float32Array;
  },
  history: StepHistory = { x0: [] },
): StepResult {
  const { sample, modelOutput } = inputs;
  const tensors = new Map<StepTensor, Float32Array>([
    ["sample", sample],
    ["modelOutput", modelOutput],
  ]);
  if (history.corrected) tensors.set("previousCorrected", history.corrected);
  for (const [i, x0] of history.x0.entries()) tensors.set(`x0[${-(i + 1)}]`, x0);
  for (let i = 0; i < plan.noiseDraws; i++) {
    if (!inputs.drawNoise)
      throw new ConfigError(
        "SCHEDULER_NEEDS_NOISE",
        "this scheduler adds noise at every step and was given none",
        { fault: "run", fix: "Pass drawNoise, for example () => generator.randn(shape)." },
      );
    tensors.set("noise", inputs.drawNoise());
  }
  const x0 = combine(plan.x0, tensors, sample.length);
  tensors.set("x0[0]", x0);
  const corrected = plan.corrected && combine(plan.corrected, tensors, sample.length);
  if (corrected) tensors.set("corrected", corrected);
  return {
    sample: combine(plan.next, tensors, sample.length),
    x0,
    history: { x0: [x0, ...history.x0].slice(0, plan.history), ...(corrected && { corrected }) },
  };
}

function combine(
  plan: readonly StepTerm[],
  tensors: ReadonlyMap<StepTensor, Float32Array>,
  length: number,
): Float32Array<ArrayBuffer> {
  const sum = new Float64Array(length);
  for (const { tensor, coefficient } of plan) {
    const data = tensors.get(tensor);
    if (!data)
      throw new ConfigError(
        "SCHEDULER_HISTORY_MISSING",
        `the step needs "${tensor}", which an earlier step makes`,
        { fault: "run", fix: "Run the steps in order from 0, and pass the history on." },
      );
    if (data.length !== length)
      throw new ShapeError(
        "SHAPE_MISMATCH",
        `"${tensor}" has ${data.length} elements, the sample has ${length}`,
      );
    for (let i = 0; i < length; i++) sum[i]! += coefficient * data[i]!;
  }
  return Float32Array.from(sum);
}
