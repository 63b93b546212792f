/** Entry `@lvsa/diffusion/rehearsal`: models of real sizes without their checkpoints, and what they take. */
export {
  type BudgetedRehearsal,
  type FittingOption,
  optionsThatFit,
  rehearseWithin,
} from "./rehearsal/memory-budget.js";
export { mergedTensors } from "./rehearsal/merged-tensors.js";
export { type Prompts, promptTokens } from "./rehearsal/prompt-tokens.js";
export { type MergedTensors, randomWeights } from "./rehearsal/random-weights.js";
export {
  type MemoryItem,
  type MemoryPhase,
  type MemoryPlan,
  type Precision,
  type Rehearsal,
  type RehearsalOptions,
  rehearse,
  rehearseMemory,
} from "./rehearsal/rehearse-memory.js";
export type { PromptTokens } from "./rehearsal/stand-in-families.js";
export { StandInModel, type StandInModelOptions } from "./rehearsal/stand-in-model.js";
