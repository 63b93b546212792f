/** Noise levels and guidance that the pipelines of some families compute outside their scheduler. */
import { linspace } from "./noise-levels.js";

/** HunyuanVideo 1.5: unshifted levels from 1 down to 1/n. */
export function hunyuanVideo15Sigmas(numInferenceSteps: number): number[] {
  return linspace(1, 0, numInferenceSteps + 1).slice(0, -1);
}

/** Cosmos 3 with `use_native_flow_schedule`: unshifted levels that start just below 1. */
export function cosmos3NativeSigmas(numInferenceSteps: number, numTrainTimesteps: number): number[] {
  return linspace(1 - 1 / numTrainTimesteps, 0, numInferenceSteps + 1).slice(0, -1);
}

/**
 * CogVideoX with `use_dynamic_cfg`: guidance from 1 upwards. The formula is diffusers', with the timestep
 * (0 to 999) where a step index seems meant: its argument reaches 1e10, so it needs float64.
 */
export function dynamicGuidanceScale(scale: number, numInferenceSteps: number, timestep: number): number {
  const progress = (numInferenceSteps - timestep) / numInferenceSteps;
  return 1 + (scale * (1 - Math.cos(Math.PI * progress ** 5))) / 2;
}
