/** Noise levels of diffusers' flow-match schedulers; how a step uses them is the classes' own. */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";
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
  NEEDS_MU_FIX,
  optional,
  parseSchedulerConfig,
  rejectOptions,
  shiftTerminal,
  trainTimesteps,
} from "./scheduler-config.js";

/** Keys that the classes share. */
export const flowMatchFields = {
  num_train_timesteps: optional(trainTimesteps, 1000),
  shift: optional(z.number().positive(), 1),
  use_dynamic_shifting: optional(z.boolean(), false),
  shift_terminal: shiftTerminal,
  use_karras_sigmas: optional(z.boolean(), false),
  use_exponential_sigmas: optional(z.boolean(), false),
  use_beta_sigmas: optional(z.boolean(), false),
  invert_sigmas: optional(z.boolean(), false),
  time_shift_type: optional(z.enum(["exponential", "linear"]), "exponential"),
};

const commonSchema = z.looseObject(flowMatchFields);
type CommonConfig = z.output<typeof commonSchema>;

const { fround } = Math;

/** Parses a configuration, and refuses what no class of the kind runs. */
export function parseFlowMatchConfig<Config extends CommonConfig>(
  schema: z.ZodType<Config>,
  json: unknown,
  name: string,
): Config {
  const config = parseSchedulerConfig(schema, json, name);
  rejectOptions(name, [
    [config.use_beta_sigmas, "use_beta_sigmas"],
    [config.invert_sigmas, "invert_sigmas"],
    [config.use_karras_sigmas && config.use_exponential_sigmas, "both Karras and exponential sigmas"],
  ]);
  return config;
}

export abstract class FlowMatchScheduler<Config extends CommonConfig> extends BaseScheduler {
  readonly numTrainTimesteps: number;
  override readonly flowShiftKey: "shift" | undefined;
  override readonly takesSigmas: boolean;
  readonly config: Config;

  protected constructor(config: Config, unknown: readonly string[]) {
    super(unknown);
    this.config = config;
    this.numTrainTimesteps = config.num_train_timesteps;
    this.flowShiftKey = config.use_dynamic_shifting ? undefined : "shift";
    this.takesSigmas = !config.use_karras_sigmas && !config.use_exponential_sigmas;
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
        throw new ConfigError(
          "SCHEDULER_NEEDS_MU",
          `${this.className} with use_dynamic_shifting was given no mu`,
          { fix: NEEDS_MU_FIX },
        );
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
}
