/**
 * UniPC (Zhao et al. 2023, arXiv 2302.04867) in the data prediction form: each step first corrects the incoming sample
 * with the new prediction, then predicts the next one. Behaves as diffusers' `UniPCMultistepScheduler`, whose defaults are
 * not those of a flow: without `use_flow_sigmas` and `prediction_type` it takes the model's output for the noise.
 */
import * as z from "zod";
import { cleanSample, type MixedLevel } from "./clean-sample.js";
import { assertSigmas } from "./noise-levels.js";
import { assertStepCount, BaseScheduler, type SetTimestepsOptions } from "./scheduler.js";
import {
  optional,
  parseSchedulerConfig,
  rejectOptions,
  shiftTerminal,
  sigmaRange,
  trainTimesteps,
  unknownKeys,
} from "./scheduler-config.js";
import { type StepPlan, type StepTensor, terms } from "./step-plan.js";
import { unipcCorrector, unipcPredictor } from "./unipc-coefficients.js";
import { unipcLevels } from "./unipc-levels.js";

const configSchema = z.looseObject({
  num_train_timesteps: optional(trainTimesteps, 1000),
  solver_order: optional(z.number().int().min(1).max(4), 2),
  prediction_type: optional(z.enum(["epsilon", "sample", "v_prediction", "flow_prediction"]), "epsilon"),
  beta_start: optional(z.number().positive().lt(1), 0.0001),
  beta_end: optional(z.number().positive().lt(1), 0.02),
  beta_schedule: optional(z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]), "linear"),
  trained_betas: z.array(z.number().positive().lt(1)).min(2).max(100_000).nullish(),
  rescale_betas_zero_snr: optional(z.boolean(), false),
  timestep_spacing: optional(z.enum(["linspace", "leading", "trailing"]), "linspace"),
  steps_offset: optional(z.number().int(), 0),
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
    super(unknownKeys(configSchema, config));
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    const { use_flow_sigmas, use_karras_sigmas, use_dynamic_shifting } = config;
    this.takesSigmas = use_flow_sigmas && !use_karras_sigmas;
    const isShifted = use_flow_sigmas && !use_karras_sigmas && !use_dynamic_shifting;
    this.flowShiftKey = isShifted ? "flow_shift" : undefined;
  }

  /** From the parsed `scheduler_config.json`. Throws `ConfigError` for options that no supported model uses. */
  static fromConfig(json: unknown): UniPCMultistepScheduler {
    const config = parseSchedulerConfig(configSchema, json, NAME);
    rejectOptions(NAME, [
      [!config.predict_x0, "predict_x0: false"],
      [config.thresholding, "thresholding"],
      [config.solver_p !== null && config.solver_p !== undefined, "solver_p"],
      [config.use_exponential_sigmas && config.use_flow_sigmas, "use_exponential_sigmas of a flow"],
      [config.use_exponential_sigmas && config.use_karras_sigmas, "both Karras and exponential sigmas"],
      [config.use_beta_sigmas, "use_beta_sigmas"],
      [
        config.trained_betas != null && config.trained_betas.length !== config.num_train_timesteps,
        "trained_betas of another number than num_train_timesteps",
      ],
      // The last step ends at sigma 0, where only the first order is finite.
      [
        !config.lower_order_final && config.solver_order > 1 && config.final_sigmas_type === "zero",
        'lower_order_final: false with final_sigmas_type: "zero"',
      ],
    ]);
    return new UniPCMultistepScheduler(config);
  }

  /** With `sigmas` their number is the number of steps. */
  setTimesteps(numInferenceSteps: number, options: SetTimestepsOptions = {}): void {
    assertStepCount(numInferenceSteps, this.numTrainTimesteps);
    if (options.sigmas) assertSigmas(options.sigmas, numInferenceSteps);
    const { timesteps, sigmas } = unipcLevels(this.config, numInferenceSteps, options);
    this.startRun(timesteps, sigmas);
  }

  #level(index: number): MixedLevel {
    const sigma = this.sigmas[index]!;
    if (this.config.use_flow_sigmas) return { signal: 1 - sigma, noise: sigma };
    const signal = 1 / Math.sqrt(sigma ** 2 + 1);
    return { signal, noise: sigma * signal };
  }

  /** Order of the predictor at a step: it grows from 1 at the start and shrinks to 1 at the end. */
  #order(stepIndex: number): number {
    const { solver_order, lower_order_final } = this.config;
    const final = lower_order_final ? this.timesteps.length - stepIndex : solver_order;
    return Math.min(solver_order, final, stepIndex + 1);
  }

  protected planStep(stepIndex: number): StepPlan {
    const type = this.config.solver_type === "bh1" ? "bh1" : "bh2";
    const x0At = (back: number): StepTensor => `x0[${back === 0 ? 0 : -back}]`;
    // `levels[k]` is the noise level k steps before the one that the formula starts from.
    const levels = (from: number, order: number) =>
      Array.from({ length: order }, (_, k) => this.#level(from - k));

    let corrected = terms(["sample", 1]);
    if (stepIndex > 0 && !this.config.disable_corrector.includes(stepIndex - 1)) {
      const order = this.#order(stepIndex - 1);
      const c = unipcCorrector(this.#level(stepIndex), levels(stepIndex - 1, order), type);
      corrected = terms(
        ["previousCorrected", c.sample],
        ["x0[0]", c.newest],
        ...c.x0.map((coefficient, k) => [x0At(k + 1), coefficient] as const),
      );
    }
    const p = unipcPredictor(this.#level(stepIndex + 1), levels(stepIndex, this.#order(stepIndex)), type);
    return {
      stepIndex,
      x0: cleanSample(this.config.prediction_type, this.#level(stepIndex)),
      corrected,
      next: terms(["corrected", p.sample], ...p.x0.map((coefficient, k) => [x0At(k), coefficient] as const)),
      noiseDraws: 0,
      history: this.config.solver_order,
    };
  }
}
