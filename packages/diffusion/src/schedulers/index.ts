export { applyStepPlan, type StepHistory, type StepResult } from "./apply-step-plan.js";
export type { CogVideoXSchedulerConfig } from "./cogvideox-schedule.js";
export {
  COGVIDEOX_SCHEDULERS,
  createScheduler,
  createSchedulerOf,
  FLOW_SCHEDULERS,
  type SchedulerClasses,
} from "./create-scheduler.js";
export { CogVideoXDDIMScheduler } from "./ddim-cogvideox.js";
export { type DMDConfig, DMDScheduler } from "./dmd.js";
export { CogVideoXDPMScheduler } from "./dpm-cogvideox.js";
export { cosmos3NativeSigmas, dynamicGuidanceScale, hunyuanVideo15Sigmas } from "./family-schedules.js";
export {
  type FlowMatchEulerDiscreteConfig,
  FlowMatchEulerDiscreteScheduler,
} from "./flow-match-euler-discrete.js";
export { type FlowMatchLCMConfig, FlowMatchLCMScheduler } from "./flow-match-lcm.js";
export { linspace } from "./noise-levels.js";
export { type RCMConfig, RCMScheduler } from "./rcm.js";
export type { Scheduler, SetTimestepsOptions, StepInputs } from "./scheduler.js";
export type { StepPlan, StepTensor, StepTerm } from "./step-plan.js";
export { type UniPCMultistepConfig, UniPCMultistepScheduler } from "./unipc-multistep.js";
