/** Settings of a run as its case states them; what a case says nothing about stays the pipeline's. */
import type { GenerateOptions } from "../pipelines/video-pipeline.js";
import type { CaseParameters } from "./reference-case.js";

/** Guidance, frame rate, longest prompt and seed of a `pipeline` case. */
export function caseSettings(parameters: CaseParameters): Partial<GenerateOptions> {
  const number = (key: string, name: keyof GenerateOptions) =>
    typeof parameters[key] === "number" ? { [name]: parameters[key] } : {};
  return {
    ...number("guidance_scale", "guidanceScale"),
    ...number("fps", "fps"),
    ...number("max_sequence_length", "maxSequenceLength"),
    ...number("seed", "seed"),
    ...(parameters.use_dynamic_cfg === undefined
      ? {}
      : { useDynamicGuidance: parameters.use_dynamic_cfg === true }),
  };
}
