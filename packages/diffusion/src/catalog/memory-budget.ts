/** What to change about a generation that does not fit the GPU's memory. */
import type { ComponentDescription } from "./model-description.js";
import { type GenerationPlan, type PlanOptions, planGeneration } from "./plan-generation.js";
import { frameStep } from "./video-grid.js";

/** A change of the settings, and the peak that it leaves. */
export interface FittingOption {
  /** As the command line writes it. */
  readonly change: string;
  readonly peakBytes: number;
}

/**
 * Single changes after which the generation fits into `budgetBytes`, and their combination where no single one is
 * enough. Empty when it fits as it is, or when nothing helps.
 */
export function optionsThatFit(options: PlanOptions, budgetBytes: number): FittingOption[] {
  const peak = (changed: Partial<PlanOptions>) => planGeneration({ ...options, ...changed }).memory.peakBytes;
  const plan = planGeneration(options);
  if (plan.memory.peakBytes <= budgetBytes) return [];

  const half = options.precision === "f16" ? undefined : { precision: "f16" as const };
  const stored16 = inHalf(plan);
  const found: FittingOption[] = [];
  const add = (change: string, changed: Partial<PlanOptions>) => {
    const peakBytes = peak(changed);
    if (peakBytes <= budgetBytes) found.push({ change, peakBytes });
  };
  if (half) add("--precision f16", half);
  if (stored16) add("a checkpoint stored in bf16", { model: stored16 });
  const frames = mostFrames(plan, (numFrames) => peak({ numFrames }) <= budgetBytes);
  if (frames !== undefined) add(`--num-frames ${frames}`, { numFrames: frames });
  if (found.length > 0) return found;

  const all = { ...half, ...(stored16 ? { model: stored16 } : {}) };
  const words = [half && "--precision f16", stored16 && "a checkpoint stored in bf16"].filter(Boolean);
  if (words.length > 1) add(words.join(" with "), all);
  const fewer = mostFrames(plan, (numFrames) => peak({ ...all, numFrames }) <= budgetBytes);
  if (found.length === 0 && fewer !== undefined && words.length > 0) {
    add(`${words.join(" with ")} and --num-frames ${fewer}`, { ...all, numFrames: fewer });
  }
  return found;
}

/** The same model with its f32 weights in bf16; undefined where it has none. */
function inHalf({ model }: GenerationPlan): GenerationPlan["model"] | undefined {
  const entries = Object.entries(model.components);
  if (entries.every(([, { storedDType }]) => storedDType !== "f32")) return undefined;
  const half = (component: ComponentDescription) => ({ ...component, storedDType: "bf16" as const });
  return { ...model, components: Object.fromEntries(entries.map(([name, one]) => [name, half(one)])) };
}

/** The largest smaller frame count that fits; more frames never need less. */
function mostFrames(plan: GenerationPlan, fits: (numFrames: number) => boolean): number | undefined {
  const step = frameStep(plan.geometry);
  if (plan.grid.numFrames === 1 || !fits(1)) return undefined;
  // In steps: `low` fits, `high` does not.
  let low = 0;
  let high = (plan.grid.numFrames - 1) / step;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle * step + 1)) low = middle;
    else high = middle;
  }
  return low * step + 1;
}
