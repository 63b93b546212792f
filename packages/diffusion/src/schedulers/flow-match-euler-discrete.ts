/** Euler steps along a flow path. Behaves as diffusers' `FlowMatchEulerDiscreteScheduler`. */
import * as z from "zod";
import { FlowMatchScheduler, flowMatchFields, parseFlowMatchConfig } from "./flow-match-scheduler.js";
import { optional, unknownKeys } from "./scheduler-config.js";
import { type StepPlan, terms } from "./step-plan.js";

const configSchema = z.looseObject({
  ...flowMatchFields,
  stochastic_sampling: optional(z.boolean(), false),
});

export type FlowMatchEulerDiscreteConfig = z.output<typeof configSchema>;

const NAME = "FlowMatchEulerDiscreteScheduler";

export class FlowMatchEulerDiscreteScheduler extends FlowMatchScheduler<FlowMatchEulerDiscreteConfig> {
  readonly className = NAME;

  /** From the parsed `scheduler_config.json`. */
  static fromConfig(json: unknown): FlowMatchEulerDiscreteScheduler {
    const config = parseFlowMatchConfig(configSchema, json, NAME);
    return new FlowMatchEulerDiscreteScheduler(config, unknownKeys(configSchema, config));
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
