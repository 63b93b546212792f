/** Euler steps along a flow path. Behaves as diffusers' `FlowMatchEulerDiscreteScheduler`. */
import { ConfigError } from "@lvsa/runtime";
import { z } from "zod";
import {
  assertSigmas,
  exponentialSigmas,
  karrasSigmas,
  linspace,
  shiftSigmas,
  stretchToTerminal,
  timeShift,
} from "./noise-levels.js";
import { assertStepCount, BaseScheduler, type SetTimestepsOptions } from "./scheduler.js";
import {
  optional,
  parseSchedulerConfig,
  rejectOptions,
  shiftTerminal,
  trainTimesteps,
} from "./scheduler-config.js";
import { type StepPlan, terms } from "./step-plan.js";

const configSchema = z.looseObject({
  num_train_timesteps: optional(trainTimesteps, 1000),
  shift: optional(z.number().positive(), 1),
  use_dynamic_shifting: optional(z.boolean(), false),
  shift_terminal: shiftTerminal,
  use_karras_sigmas: optional(z.boolean(), false),
  use_exponential_sigmas: optional(z.boolean(), false),
  use_beta_sigmas: optional(z.boolean(), false),
  invert_sigmas: optional(z.boolean(), false),
  time_shift_type: optional(z.enum(["exponential", "linear"]), "exponential"),
  stochastic_sampling: optional(z.boolean(), false),
});

export type FlowMatchEulerDiscreteConfig = z.output<typeof configSchema>;

const NAME = "FlowMatchEulerDiscreteScheduler";
const { fround } = Math;

export class FlowMatchEulerDiscreteScheduler extends BaseScheduler {
  readonly className = NAME;
  readonly numTrainTimesteps: number;
  override readonly flowShiftKey: "shift" | undefined;
  readonly config: FlowMatchEulerDiscreteConfig;

  private constructor(config: FlowMatchEulerDiscreteConfig) {
    super();
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    this.flowShiftKey = config.use_dynamic_shifting ? undefined : "shift";
  }

  /** From the parsed `scheduler_config.json`. */
  static fromConfig(json: unknown): FlowMatchEulerDiscreteScheduler {
    const config = parseSchedulerConfig(configSchema, json, NAME);
    rejectOptions(NAME, [
      [config.use_beta_sigmas, "use_beta_sigmas"],
      [config.invert_sigmas, "invert_sigmas"],
      [config.use_karras_sigmas && config.use_exponential_sigmas, "both Karras and exponential sigmas"],
    ]);
    return new FlowMatchEulerDiscreteScheduler(config);
  }

  /**
   * Timesteps are float32 values, 1000 times the noise level. Sigmas that are passed in are worked on in
   * float32 and the scheduler's own in float64, as in diffusers.
   */
  setTimesteps(numInferenceSteps: number, options: SetTimestepsOptions = {}): void {
    const { config, numTrainTimesteps } = this;
    assertStepCount(numInferenceSteps, numTrainTimesteps);
    if (options.sigmas) assertSigmas(options.sigmas, numInferenceSteps);
    const round = options.sigmas ? fround : (x: number) => x;
    let sigmas = options.sigmas ? options.sigmas.map(fround) : this.#ownSigmas(numInferenceSteps);
    if (config.use_dynamic_shifting) {
      if (options.mu === undefined)
        throw new ConfigError("SCHEDULER_NEEDS_MU", `${NAME} with use_dynamic_shifting was given no mu`, {
          fix: "Pass mu to setTimesteps.",
        });
      sigmas = timeShift(sigmas, options.mu, config.time_shift_type, round);
    } else {
      sigmas = shiftSigmas(sigmas, config.shift, round);
    }
    if (config.shift_terminal) sigmas = stretchToTerminal(sigmas, config.shift_terminal, round);
    const [first, last] = [sigmas[0]!, sigmas[sigmas.length - 1]!];
    if (config.use_karras_sigmas) sigmas = karrasSigmas(last, first, numInferenceSteps);
    else if (config.use_exponential_sigmas) sigmas = exponentialSigmas(last, first, numInferenceSteps);
    sigmas = sigmas.map(fround);
    this.startRun(
      sigmas.map((sigma) => fround(sigma * numTrainTimesteps)),
      [...sigmas, 0],
    );
  }

  /** Even steps between the highest and the lowest level of training, which are shifted already. */
  #ownSigmas(steps: number): number[] {
    const { config, numTrainTimesteps: total } = this;
    const range = [1, fround(1 / total)];
    const [max, min] = config.use_dynamic_shifting ? range : shiftSigmas(range, config.shift, fround);
    return linspace(max! * total, min! * total, steps).map((timestep) => timestep / total);
  }

  protected planStep(stepIndex: number): StepPlan {
    const sigma = this.sigmas[stepIndex]!;
    const next = this.sigmas[stepIndex + 1]!;
    const stochastic = this.config.stochastic_sampling;
    return {
      stepIndex,
      x0: terms(["sample", 1], ["modelOutput", -sigma]),
      next: stochastic
        ? terms(["x0[0]", 1 - next], ["noise", next])
        : terms(["sample", 1], ["modelOutput", next - sigma]),
      noiseDraws: stochastic ? 1 : 0,
      history: 0,
    };
  }
}
