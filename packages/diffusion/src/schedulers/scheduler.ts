/** What pipelines use of a scheduler, whatever its kind. */
import { ConfigError, UsageError } from "@lvsa/runtime";
import { badRunState, type PartState, type Stateful } from "../run-state/stateful.js";
import { applyStepPlan, type StepHistory, type StepResult } from "./apply-step-plan.js";
import type { StepPlan } from "./step-plan.js";

export interface SetTimestepsOptions {
  /** Flow schedulers: unshifted noise levels, one per step, instead of the scheduler's own. */
  readonly sigmas?: readonly number[];
  /** Flow schedulers with `use_dynamic_shifting`: the shift for this resolution. */
  readonly mu?: number;
}

export interface StepInputs {
  /** Latents, not changed. */
  readonly sample: Float32Array;
  /** Transformer output after guidance. */
  readonly modelOutput: Float32Array;
  /** Needed where `plan(stepIndex).noiseDraws` is above 0. */
  readonly drawNoise?: () => Float32Array;
}

export interface Scheduler extends Stateful {
  /** As in `scheduler_config.json`. */
  readonly className: string;
  /** The parsed configuration. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly numTrainTimesteps: number;
  /** Key of the config that sets how far the noise levels are shifted; undefined where no such key has an effect. */
  readonly flowShiftKey: "flow_shift" | "shift" | undefined;
  /** Keys of the configuration that this class does not know. */
  readonly unknownKeys: readonly string[];
  /** Whether `setTimesteps` uses given `sigmas` as they are. */
  readonly takesSigmas: boolean;
  /** Steps that the configuration's own list has, where it has one. */
  readonly defaultSteps: number | undefined;
  /** One per step; integers, or float32 values for flow-matching Euler. Empty before `setTimesteps`. */
  readonly timesteps: readonly number[];
  /** Flow schedulers: steps + 1 noise levels in float32, the last one 0. Empty for CogVideoX's schedulers. */
  readonly sigmas: readonly number[];
  /** Factor for the initial noise. */
  readonly initNoiseSigma: number;
  /** Prepares a run and forgets the last one. */
  setTimesteps(numInferenceSteps: number, options?: SetTimestepsOptions): void;
  /** The linear combinations of step `stepIndex`; pure. */
  plan(stepIndex: number): StepPlan;
  /** Runs the plan on the CPU. Steps go in order from 0; the scheduler keeps what the next one needs. */
  step(stepIndex: number, inputs: StepInputs): StepResult;
}

/** The parts that all schedulers share: the index check and the history of a run. */
export abstract class BaseScheduler implements Scheduler {
  abstract readonly className: string;
  abstract readonly config: Readonly<Record<string, unknown>>;
  abstract readonly numTrainTimesteps: number;
  readonly flowShiftKey: "flow_shift" | "shift" | undefined = undefined;
  readonly unknownKeys: readonly string[];
  readonly takesSigmas: boolean = false;
  readonly defaultSteps: number | undefined = undefined;
  readonly initNoiseSigma: number = 1;
  #timesteps: readonly number[] = [];
  #sigmas: readonly number[] = [];
  #history: StepHistory = { x0: [] };
  #nextStep = 0;

  protected constructor(unknownKeys: readonly string[]) {
    this.unknownKeys = unknownKeys;
  }

  get timesteps(): readonly number[] {
    return this.#timesteps;
  }

  get sigmas(): readonly number[] {
    return this.#sigmas;
  }

  abstract setTimesteps(numInferenceSteps: number, options?: SetTimestepsOptions): void;
  protected abstract planStep(stepIndex: number): StepPlan;

  plan(stepIndex: number): StepPlan {
    if (!Number.isInteger(stepIndex) || stepIndex < 0 || stepIndex >= this.#timesteps.length)
      throw new ConfigError(
        "SCHEDULER_STEP_OUT_OF_RANGE",
        `step ${stepIndex} of ${this.#timesteps.length} planned steps`,
        { fault: "run", fix: "Call setTimesteps first, then steps from 0 to timesteps.length - 1." },
      );
    return this.planStep(stepIndex);
  }

  step(stepIndex: number, inputs: StepInputs): StepResult {
    const plan = this.plan(stepIndex);
    if (stepIndex !== this.#nextStep && stepIndex !== 0)
      throw new ConfigError(
        "SCHEDULER_STEP_ORDER",
        `step ${stepIndex} came when step ${this.#nextStep} was due`,
        { fault: "run", fix: "Run the steps in order; call setTimesteps or start at step 0 for a new run." },
      );
    const result = applyStepPlan(plan, inputs, stepIndex === 0 ? { x0: [] } : this.#history);
    this.#history = result.history;
    this.#nextStep = stepIndex + 1;
    return result;
  }

  /** What earlier steps left for the next one. */
  state(): PartState {
    const { x0, corrected } = this.#history;
    const flat = (data: Float32Array) => ({ data, shape: [data.length] });
    return {
      values: { class: this.className, next_step: this.#nextStep },
      tensors: {
        ...Object.fromEntries(x0.map((data, i) => [`x0.${i}`, flat(data)])),
        ...(corrected ? { corrected: flat(corrected) } : {}),
      },
    };
  }

  /** After `setTimesteps` as in the run that the state is of. */
  restore({ values, tensors }: PartState): void {
    if (values.class !== this.className) {
      throw badRunState(`it is that of a ${String(values.class)}, the scheduler is a ${this.className}`);
    }
    const next = values.next_step;
    if (typeof next !== "number" || !(next >= 0 && next <= this.#timesteps.length)) {
      throw badRunState(`${String(next)} of ${this.#timesteps.length} steps are done`);
    }
    const x0: Float32Array[] = [];
    for (let i = 0; tensors[`x0.${i}`]; i++) x0.push(tensors[`x0.${i}`]!.data);
    this.#history = { x0, ...(tensors.corrected ? { corrected: tensors.corrected.data } : {}) };
    this.#nextStep = next;
  }

  /** @throws ConfigError `SCHEDULER_NOT_FINITE` before the first step, where any step has a factor that is no number */
  protected startRun(timesteps: readonly number[], sigmas: readonly number[]): void {
    this.#timesteps = timesteps;
    this.#sigmas = sigmas;
    this.#history = { x0: [] };
    this.#nextStep = 0;
    try {
      for (let i = 0; i < timesteps.length; i++) this.#assertFinite(this.planStep(i), timesteps[i]!);
    } catch (error) {
      this.#timesteps = [];
      this.#sigmas = [];
      throw error;
    }
  }

  #assertFinite(plan: StepPlan, timestep: number): void {
    const factors = [...plan.x0, ...(plan.corrected ?? []), ...plan.next];
    const bad = factors.find(({ coefficient }) => !Number.isFinite(coefficient));
    if (Number.isFinite(timestep) && !bad) return;
    const step = `step ${plan.stepIndex + 1} of ${this.#timesteps.length}`;
    const what = bad ? `the factor ${bad.coefficient} for "${bad.tensor}"` : `the timestep ${timestep}`;
    throw new ConfigError("SCHEDULER_NOT_FINITE", `${this.className}: ${step} has ${what}`, {
      where: "scheduler_config.json",
      fix: "Compare the file with the checkpoint's original, and shift and sigmas with the published ones.",
    });
  }
}

/** Throws unless `steps` is an integer from 1 to `limit`. */
export function assertStepCount(steps: number, limit: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > limit)
    throw new UsageError("STEPS_INVALID", `${steps} inference steps; this scheduler takes 1 to ${limit}`, {
      fix: "Pass a whole number of steps in that range.",
    });
}
