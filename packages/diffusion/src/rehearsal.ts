/** Entry `@lvsa/diffusion/rehearsal`: models of real sizes without their checkpoints, and what they take. */
export {
  type BudgetedRehearsal,
  type FittingOption,
  optionsThatFit,
  rehearseWithin,
} from "./rehearsal/memory-budget.js";
export { randomWeights } from "./rehearsal/random-weights.js";
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
export { StandInModel, type StandInModelOptions } from "./rehearsal/stand-in-model.js";
