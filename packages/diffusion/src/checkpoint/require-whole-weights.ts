/** What is wrong with a checkpoint's files, said before anything is loaded. */
import { WeightsError } from "@lvsa/runtime";
import type { CheckpointInspection } from "./inspect-checkpoint.js";

/** @throws WeightsError for the first component that can not be loaded: at once, not after minutes of work */
export function requireWholeWeights(inspection: CheckpointInspection): void {
  for (const component of inspection.components) {
    if (!["transformer", "autoencoder", "text encoder", "image encoder"].includes(component.role)) continue;
    const problem = component.problems.find(
      ({ severity, code }) => severity === "error" && code !== "UNKNOWN_MODEL_CLASS",
    );
    if (!problem) continue;
    throw new WeightsError(problem.code, problem.message, {
      where: problem.where ?? component.name,
      ...(problem.fix ? { fix: problem.fix } : {}),
    });
  }
}
