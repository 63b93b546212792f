/**
 * UniPC (Zhao et al. 2023, arXiv 2302.04867) for flow-matching models that predict velocity, in the data
 * prediction form: each step first corrects the incoming sample with the new prediction, then predicts the
 * next one. Behaves as diffusers' `UniPCMultistepScheduler` with `use_flow_sigmas`.
 */
import { ConfigError, quoted } from "@lvsa/runtime";
import * as z from "zod";
import {
  assertSigmas,
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
  sigmaRange,
  trainTimesteps,
} from "./scheduler-config.js";
import { type StepPlan, type StepTensor, terms } from "./step-plan.js";
import { unipcCorrector, unipcPredictor } from "./unipc-coefficients.js";

const configSchema = z.looseObject({
  num_train_timesteps: optional(trainTimesteps, 1000),
  solver_order: optional(z.number().int().min(1).max(4), 2),
  prediction_type: optional(z.string(), "epsilon"),
  thresholding: optional(z.boolean(), false),
  predict_x0: optional(z.boolean(), true),
  // diffusers reads the older names as bh2.
  solver_type: optional(z.enum(["bh1", "bh2", "midpoint", "heun", "logrho"]), "bh2"),
  lower_order_final: optional(z.boolean(), true),
  disable_corrector: optional(z.array(z.number().int()), []),
  solver_p: z.unknown().optional(),
  use_karras_sigmas: optional(z.boolean(), false),
  use_exponential_sigmas: optional(z.boolean(), false),
  use_beta_sigmas: optional(z.boolean(), false),
  use_flow_sigmas: optional(z.boolean(), false),
  flow_shift: optional(z.number().positive(), 1),
  final_sigmas_type: optional(z.enum(["zero", "sigma_min"]), "zero"),
  use_dynamic_shifting: optional(z.boolean(), false),
  time_shift_type: optional(z.enum(["exponential", "linear"]), "exponential"),
  sigma_min: sigmaRange,
  sigma_max: sigmaRange,
  shift_terminal: shiftTerminal,
});

export type UniPCMultistepConfig = z.output<typeof configSchema>;

const NAME = "UniPCMultistepScheduler";

export class UniPCMultistepScheduler extends BaseScheduler {
  readonly className = NAME;
  readonly numTrainTimesteps: number;
  override readonly flowShiftKey: "flow_shift" | undefined;
  override readonly takesSigmas: boolean;
  readonly config: UniPCMultistepConfig;

  private constructor(config: UniPCMultistepConfig) {
    super();
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    const { use_karras_sigmas, use_dynamic_shifting } = config;
    this.takesSigmas = !use_karras_sigmas;
    this.flowShiftKey = use_karras_sigmas || use_dynamic_shifting ? undefined : "flow_shift";
  }

  /** From the parsed `scheduler_config.json`. Throws `ConfigError` for options that no supported model uses. */
  static fromConfig(json: unknown): UniPCMultistepScheduler {
    const config = parseSchedulerConfig(configSchema, json, NAME);
    rejectOptions(NAME, [
      [!config.use_flow_sigmas, "use_flow_sigmas: false"],
      [config.prediction_type !== "flow_prediction", `prediction_type: ${quoted(config.prediction_type)}`],
      [!config.predict_x0, "predict_x0: false"],
      [config.thresholding, "thresholding"],
      [config.solver_p !== null && config.solver_p !== undefined, "solver_p"],
      [config.use_exponential_sigmas, "use_exponential_sigmas"],
      [config.use_beta_sigmas, "use_beta_sigmas"],
      // The last step ends at sigma 0, where only the first order is finite.
      [
        !config.lower_order_final && config.solver_order > 1 && config.final_sigmas_type === "zero",
        'lower_order_final: false with final_sigmas_type: "zero"',
      ],
    ]);
    return new UniPCMultistepScheduler(config);
  }

  /** With `sigmas` their number is the number of steps. Integer timesteps are cut off, not rounded. */
  setTimesteps(numInferenceSteps: number, options: SetTimestepsOptions = {}): void {
    assertStepCount(numInferenceSteps, this.numTrainTimesteps);
    if (options.sigmas) assertSigmas(options.sigmas, numInferenceSteps);
    const sigmas = this.config.use_karras_sigmas
      ? this.#karras(numInferenceSteps, options)
      : this.#flow(numInferenceSteps, options);
    const timesteps = sigmas.map((sigma) => Math.trunc(sigma * this.numTrainTimesteps));
    const last = this.config.final_sigmas_type === "zero" ? 0 : sigmas[sigmas.length - 1]!;
    this.startRun(timesteps, [...sigmas, last].map(Math.fround));
  }

  #karras(steps: number, { sigmas }: SetTimestepsOptions): number[] {
    const min = this.config.sigma_min ?? sigmas?.[sigmas.length - 1];
    const max = this.config.sigma_max ?? sigmas?.[0];
    if (min === undefined || max === undefined)
      throw new ConfigError(
        "SCHEDULER_OPTION_UNSUPPORTED",
        `${NAME} with use_karras_sigmas has no sigma range`,
        {
          where: "scheduler_config.json",
          fix: "Set sigma_min and sigma_max.",
        },
      );
    return karrasSigmas(min, max, steps).map((sigma) => sigma / (sigma + 1));
  }

  #flow(steps: number, options: SetTimestepsOptions): number[] {
    const { config } = this;
    let sigmas: number[] = options.sigmas
      ? [...options.sigmas]
      : linspace(1, 1 / this.numTrainTimesteps, steps + 1).slice(0, -1);
    if (config.use_dynamic_shifting) {
      if (options.mu === undefined)
        throw new ConfigError("SCHEDULER_NEEDS_MU", `${NAME} with use_dynamic_shifting was given no mu`, {
          fault: "run",
          fix: "Pass mu to setTimesteps.",
        });
      sigmas = timeShift(sigmas, options.mu, config.time_shift_type);
    } else {
      sigmas = shiftSigmas(sigmas, config.flow_shift);
    }
    if (config.shift_terminal) sigmas = stretchToTerminal(sigmas, config.shift_terminal);
    // At sigma 1 there is no signal, and the logarithm of the signal would be infinite.
    if (Math.abs(sigmas[0]! - 1) < 1e-6) sigmas[0]! -= 1e-6;
    return sigmas;
  }

  /** Order of the predictor at a step: it grows from 1 at the start and shrinks to 1 at the end. */
  #order(stepIndex: number): number {
    const { solver_order, lower_order_final } = this.config;
    const final = lower_order_final ? this.timesteps.length - stepIndex : solver_order;
    return Math.min(solver_order, final, stepIndex + 1);
  }

  protected planStep(stepIndex: number): StepPlan {
    const { sigmas } = this;
    const type = this.config.solver_type === "bh1" ? "bh1" : "bh2";
    const x0At = (back: number): StepTensor => `x0[${back === 0 ? 0 : -back}]`;
    // `levels[k]` is the noise level k steps before the one that the formula starts from.
    const levels = (from: number, order: number) =>
      Array.from({ length: order }, (_, k) => sigmas[from - k]!);

    let corrected = terms(["sample", 1]);
    if (stepIndex > 0 && !this.config.disable_corrector.includes(stepIndex - 1)) {
      const order = this.#order(stepIndex - 1);
      const c = unipcCorrector(sigmas[stepIndex]!, levels(stepIndex - 1, order), type);
      corrected = terms(
        ["previousCorrected", c.sample],
        ["x0[0]", c.newest],
        ...c.x0.map((coefficient, k) => [x0At(k + 1), coefficient] as const),
      );
    }
    const p = unipcPredictor(sigmas[stepIndex + 1]!, levels(stepIndex, this.#order(stepIndex)), type);
    return {
      stepIndex,
      x0: terms(["sample", 1], ["modelOutput", -sigmas[stepIndex]!]),
      corrected,
      next: terms(["corrected", p.sample], ...p.x0.map((coefficient, k) => [x0At(k), coefficient] as const)),
      noiseDraws: 0,
      history: this.config.solver_order,
    };
  }
}
