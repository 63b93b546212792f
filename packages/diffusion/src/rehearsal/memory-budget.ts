/** What to change about a generation that does not fit the GPU's memory. */
import type { ComponentDescription, ModelDescription } from "../catalog/model-description.js";
import { modelShape } from "../catalog/model-shape.js";
import { frameStep } from "../models/definition/video-grid.js";
import { type Rehearsal, type RehearsalOptions, rehearse, rehearseMemory } from "./rehearse-memory.js";

/** Changes of the settings, and the peak that they leave. */
export interface FittingOption {
  /** Transformer blocks are read when they are needed. */
  readonly offload?: true;
  /** Tiles of diffusers' sizes: other pictures. */
  readonly vaeTiling?: true;
  readonly precision?: "f16";
  /** A checkpoint whose f32 weights are stored in this type instead. */
  readonly storedDType?: "bf16";
  readonly numFrames?: number;
  /** The whole clip in overlapping windows of so many video frames, no longer than the clips that the model is made for. */
  readonly windowFrames?: number;
  readonly peakBytes: number;
}

/** A generation within a budget, as far as streaming the transformer's blocks can bring it there. */
export interface BudgetedRehearsal extends Rehearsal {
  readonly isOffloaded: boolean;
  /** What `optionsThatFit` says; undefined where it fits as it is, or where there is no budget. */
  readonly fitting: readonly FittingOption[] | undefined;
}

/**
 * Rehearses a generation, with the transformer's blocks streamed where `options.offload` leaves it open and the budget
 * asks for it.
 *
 * @throws as `rehearse`
 */
export async function rehearseWithin(
  options: RehearsalOptions,
  budgetBytes: number | undefined,
): Promise<BudgetedRehearsal> {
  const first = await rehearse(options);
  const fits = ({ memory }: Rehearsal) => budgetBytes === undefined || memory.peakBytes <= budgetBytes;
  const isOffloaded = options.offload === true;
  if (fits(first)) return { ...first, isOffloaded, fitting: undefined };
  if (options.offload === undefined) {
    const streamed = await rehearse({ ...options, offload: true });
    if (fits(streamed)) return { ...streamed, isOffloaded: true, fitting: undefined };
  }
  return { ...first, isOffloaded, fitting: await optionsThatFit(options, budgetBytes!) };
}

/**
 * Single changes after which the generation fits into `budgetBytes`, and their combination where no single one is
 * enough. Empty when it fits as it is, or when nothing helps.
 */
export async function optionsThatFit(
  options: RehearsalOptions,
  budgetBytes: number,
): Promise<FittingOption[]> {
  const known = new Map<string, Promise<number>>();
  // The searches below come by the same settings more than once.
  const peak = (changed: Partial<RehearsalOptions>): Promise<number> => {
    const { model, ...others } = changed;
    const key = JSON.stringify([others, model !== undefined]);
    const found =
      known.get(key) ?? rehearseMemory({ ...options, ...changed }).then(({ peakBytes }) => peakBytes);
    known.set(key, found);
    return found;
  };
  if ((await peak({})) <= budgetBytes) return [];

  const half = options.precision === "f16" ? undefined : { precision: "f16" as const };
  const stored16 = inHalf(options.model);
  const found: FittingOption[] = [];
  const add = async (change: Omit<FittingOption, "peakBytes">, changed: Partial<RehearsalOptions>) => {
    const peakBytes = await peak(changed);
    if (peakBytes <= budgetBytes) found.push({ ...change, peakBytes });
  };
  const stored = { storedDType: "bf16" as const };
  const streamed = options.offload === true ? undefined : { offload: true as const };
  const tiled = options.vaeTiling ? undefined : { vaeTiling: true as const };
  if (streamed) await add(streamed, streamed);
  if (tiled) await add(tiled, tiled);
  if (half) await add(half, half);
  if (stored16) await add(stored, { model: stored16 });
  const fits = async (changed: Partial<RehearsalOptions>) => (await peak(changed)) <= budgetBytes;
  const windows = await longestWindow(options, (windowFrames) => fits({ windowFrames }));
  if (windows !== undefined) await add({ windowFrames: windows }, { windowFrames: windows });
  const frames = await mostFrames(options, (numFrames) => fits({ numFrames }));
  if (frames !== undefined) await add({ numFrames: frames }, { numFrames: frames });
  if (found.length > 0) return found;

  // Steps and decoding need different changes; neither of these two changes numbers of the other's.
  if (streamed && tiled) await add({ ...streamed, ...tiled }, { ...streamed, ...tiled });
  if (found.length > 0) return found;

  const rest = { offload: true, ...half, ...(stored16 ? { model: stored16 } : {}) };
  const others = { ...streamed, ...half, ...(stored16 ? stored : {}) };
  if (Object.keys(others).length > 1) await add(others, rest);
  if (found.length > 0) return found;

  // Small pictures are no tiles, and where steps need most these change nothing.
  const helps = tiled && (await peak({ ...rest, ...tiled })) < (await peak(rest));
  const all = helps ? { ...rest, ...tiled } : rest;
  const change = helps ? { ...others, ...tiled } : others;
  if (helps && Object.keys(others).length > 0) await add(change, all);
  if (found.length > 0 || Object.keys(change).length === 0) return found;

  const windowFrames = await longestWindow(options, (windowFrames) => fits({ ...all, windowFrames }));
  if (windowFrames !== undefined) await add({ ...change, windowFrames }, { ...all, windowFrames });
  const fewer = await mostFrames(options, (numFrames) => fits({ ...all, numFrames }));
  if (fewer !== undefined) await add({ ...change, numFrames: fewer }, { ...all, numFrames: fewer });
  return found;
}

/** The same model with its f32 weights in bf16; undefined where it has none. */
function inHalf(model: ModelDescription): ModelDescription | undefined {
  const entries = Object.entries(model.components);
  if (entries.every(([, { storedDType }]) => storedDType !== "f32")) return undefined;
  const half = ({ exceptions: _, ...component }: ComponentDescription) => ({
    ...component,
    storedDType: "bf16" as const,
  });
  return { ...model, components: Object.fromEntries(entries.map(([name, one]) => [name, half(one)])) };
}

/**
 * The longest window that fits, for a clip that is longer than those the model is made for: within its length the clip as a
 * whole is better. Undefined where windows do not go together with the rest.
 */
async function longestWindow(
  options: RehearsalOptions,
  fits: (windowFrames: number) => Promise<boolean>,
): Promise<number | undefined> {
  const { model, numFrames = model.defaults.numFrames, windowFrames = numFrames, image, stepCache } = options;
  const usual = model.defaults.numFrames;
  if (numFrames <= usual || image !== undefined || stepCache !== undefined) return undefined;
  const step = frameStep(modelShape(model).geometry);
  const most = Math.min(usual, windowFrames - step);
  // Neighbours share a latent frame, and each has another.
  const least = step + 1;
  if (most < least || !(await fits(least))) return undefined;
  if (await fits(most)) return most;
  return longestFit(least, most, step, fits);
}

/** The largest smaller frame count that fits; more frames never need less. */
async function mostFrames(
  { model, numFrames = model.defaults.numFrames }: RehearsalOptions,
  fits: (numFrames: number) => Promise<boolean>,
): Promise<number | undefined> {
  const step = frameStep(modelShape(model).geometry);
  if (numFrames === 1 || !(await fits(1))) return undefined;
  return longestFit(1, numFrames, step, fits);
}

/** Between a number of frames that fits and one that does not. */
async function longestFit(
  least: number,
  most: number,
  step: number,
  fits: (frames: number) => Promise<boolean>,
): Promise<number> {
  // In steps: `low` fits, `high` does not.
  let low = (least - 1) / step;
  let high = (most - 1) / step;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (await fits(middle * step + 1)) low = middle;
    else high = middle;
  }
  return low * step + 1;
}
