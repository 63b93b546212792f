/**
 * Predicts the clean clip and adds fresh noise of the next level. Behaves as diffusers' `FlowMatchLCMScheduler`, which
 * 4-step distillations run with as well as with Euler steps.
 */
import * as z from "zod";
import { FlowMatchScheduler, flowMatchFields, parseFlowMatchConfig } from "./flow-match-scheduler.js";
import { rejectOptions, unknownKeys } from "./scheduler-config.js";
import { renoisingStep, type StepPlan } from "./step-plan.js";

const configSchema = z.looseObject({
  ...flowMatchFields,
  // Latents that grow from step to step.
  scale_factors: z.array(z.number()).nullish(),
});

export type FlowMatchLCMConfig = z.output<typeof configSchema>;

const NAME = "FlowMatchLCMScheduler";

export class FlowMatchLCMScheduler extends FlowMatchScheduler<FlowMatchLCMConfig> {
  readonly className = NAME;

  /** From the parsed `scheduler_config.json`. */
  static fromConfig(json: unknown): FlowMatchLCMScheduler {
    const config = parseFlowMatchConfig(configSchema, json, NAME);
    rejectOptions(NAME, [[(config.scale_factors ?? []).length > 0, "scale_factors"]]);
    return new FlowMatchLCMScheduler(config, unknownKeys(configSchema, config));
  }

  protected planStep(stepIndex: number): StepPlan {
    // On the last step too, where the noise counts nothing: a seeded generator advances as in diffusers.
    return renoisingStep(stepIndex, this.sigmas, 1);
  }
}
