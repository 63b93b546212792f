/** What to change about a generation that does not fit the GPU's memory. */
import type { ComponentDescription, ModelDescription } from "../catalog/model-description.js";
import { modelShape } from "../catalog/model-shape.js";
import { frameStep } from "../models/definition/video-grid.js";
import { type RehearsalOptions, rehearseMemory } from "./rehearse-memory.js";

/** Changes of the settings, and the peak that they leave. */
export interface FittingOption {
  readonly precision?: "f16";
  /** A checkpoint whose f32 weights are stored in this type instead. */
  readonly storedDType?: "bf16";
  readonly numFrames?: number;
  readonly peakBytes: number;
}

/**
 * Single changes after which the generation fits into `budgetBytes`, and their combination where no single one is
 * enough. Empty when it fits as it is, or when nothing helps.
 */
export async function optionsThatFit(
  options: RehearsalOptions,
  budgetBytes: number,
): Promise<FittingOption[]> {
  const peak = async (changed: Partial<RehearsalOptions>) =>
    (await rehearseMemory({ ...options, ...changed })).peakBytes;
  if ((await peak({})) <= budgetBytes) return [];

  const half = options.precision === "f16" ? undefined : { precision: "f16" as const };
  const stored16 = inHalf(options.model);
  const found: FittingOption[] = [];
  const add = async (change: Omit<FittingOption, "peakBytes">, changed: Partial<RehearsalOptions>) => {
    const peakBytes = await peak(changed);
    if (peakBytes <= budgetBytes) found.push({ ...change, peakBytes });
  };
  const stored = { storedDType: "bf16" as const };
  if (half) await add(half, half);
  if (stored16) await add(stored, { model: stored16 });
  const frames = await mostFrames(options, async (numFrames) => (await peak({ numFrames })) <= budgetBytes);
  if (frames !== undefined) await add({ numFrames: frames }, { numFrames: frames });
  if (found.length > 0) return found;

  const all = { ...half, ...(stored16 ? { model: stored16 } : {}) };
  const change = { ...half, ...(stored16 ? stored : {}) };
  if (half && stored16) await add(change, all);
  const fewer = await mostFrames(
    options,
    async (numFrames) => (await peak({ ...all, numFrames })) <= budgetBytes,
  );
  if (found.length === 0 && fewer !== undefined && (half || stored16)) {
    await add({ ...change, numFrames: fewer }, { ...all, numFrames: fewer });
  }
  return found;
}

/** The same model with its f32 weights in bf16; undefined where it has none. */
function inHalf(model: ModelDescription): ModelDescription | undefined {
  const entries = Object.entries(model.components);
  if (entries.every(([, { storedDType }]) => storedDType !== "f32")) return undefined;
  const half = (component: ComponentDescription) => ({ ...component, storedDType: "bf16" as const });
  return { ...model, components: Object.fromEntries(entries.map(([name, one]) => [name, half(one)])) };
}

/** The largest smaller frame count that fits; more frames never need less. */
async function mostFrames(
  { model, numFrames = model.defaults.numFrames }: RehearsalOptions,
  fits: (numFrames: number) => Promise<boolean>,
): Promise<number | undefined> {
  const step = frameStep(modelShape(model).geometry);
  if (numFrames === 1 || !(await fits(1))) return undefined;
  // In steps: `low` fits, `high` does not.
  let low = 0;
  let high = (numFrames - 1) / step;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await fits(middle * step + 1)) low = middle;
    else high = middle;
  }
  return low * step + 1;
}
