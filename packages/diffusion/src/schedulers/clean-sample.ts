/** What a model's output says of the clean sample, by what it was trained to predict. */
import { type StepTerm, terms } from "./step-plan.js";

/** How much of the clip and how much noise a sample holds. On a flow path they are 1 - sigma and sigma. */
export interface MixedLevel {
  readonly signal: number;
  readonly noise: number;
}

/** As diffusers names them. */
export type PredictionType = "epsilon" | "sample" | "v_prediction" | "flow_prediction";

/** x0 over `sample` and `modelOutput`. */
export function cleanSample(type: PredictionType, { signal, noise }: MixedLevel): StepTerm[] {
  switch (type) {
    case "epsilon":
      return terms(["sample", 1 / signal], ["modelOutput", -noise / signal]);
    case "sample":
      return terms(["modelOutput", 1]);
    case "v_prediction":
      return terms(["sample", signal], ["modelOutput", -noise]);
    case "flow_prediction":
      return terms(["sample", 1], ["modelOutput", -noise]);
  }
}
