/** What one generation takes, before it runs: tokens, attended frames, operations. Memory: `rehearsal/`. */
import { checkOptionKinds, type OptionKinds, UsageError } from "@lvsa/runtime";
import { type VideoGrid, videoGrid } from "../models/definition/video-grid.js";
import type { ModelGeometry, TokenRows } from "../models/definition/video-model.js";
import { getModelClass } from "../models/model-classes.js";
import { planWindows } from "../pipelines/windows/window-options.js";
import { type ForwardFlops, forwardFlops, ratio } from "./flops.js";
import type { ModelDescription } from "./model-description.js";
import { modelShape } from "./model-shape.js";
import { summarizeParameters, type WeightSummary, weightsByRows } from "./weight-summary.js";

/** The sparse pattern of a clip, as whoever knows it tells. */
export interface AttendedFramesPattern {
  /** Frames that each query frame attends to, one number per query frame, for one key frame offset. */
  attendedFrames(offset: number): readonly number[];
  /** Number of offsets that the steps go through; 1 where key frames stay. */
  readonly offsets: number;
}

/** Asked once per plan: the pattern depends on the clip's length in token frames. */
export type AttendedFramesOf = (grid: VideoGrid, geometry: ModelGeometry) => AttendedFramesPattern;

export interface PlanOptions {
  readonly model: ModelDescription;
  /** Default: the model's own. */
  readonly numFrames?: number | undefined;
  /** Video frames of a window, and those that neighbours share, as of a generation. Default: the whole clip at once. */
  readonly windowFrames?: number | undefined;
  readonly windowOverlap?: number | undefined;
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  readonly numInferenceSteps?: number | undefined;
  readonly guidanceScale?: number | undefined;
  readonly guidanceScale2?: number | undefined;
  /** The pattern; without it the plan is dense. */
  readonly lvsa?: AttendedFramesOf | undefined;
  /** Other token counts than the pipeline's, e.g. `{ text: 300 }`. */
  readonly tokens?: TokenRows | undefined;
}

const PLAN_KINDS: OptionKinds<PlanOptions> = {
  ...{
    model: "object",
    numFrames: "any",
    windowFrames: "any",
    windowOverlap: "any",
    height: "any",
    width: "any",
  },
  ...{
    numInferenceSteps: "any",
    guidanceScale: "any",
    guidanceScale2: "any",
    lvsa: "function",
    tokens: "object",
  },
};

export interface AttendedFrames {
  /** Per query frame, at offset 0. */
  readonly perQueryFrame: readonly number[];
  readonly sum: number;
  readonly mean: number;
  /** Attended share of all pairs of frames, at offset 0. */
  readonly density: number;
  /** Over all key frame offsets. */
  readonly overOffsets: {
    readonly offsets: number;
    readonly min: number;
    readonly max: number;
    readonly mean: number;
  };
}

export interface ComponentPlan extends WeightSummary {
  readonly className: string;
  /** Bytes in the published (or found) number format. */
  readonly storedBytes: number;
}

export interface GenerationPlan {
  readonly model: ModelDescription;
  readonly geometry: ModelGeometry;
  /** Of what the model sees at once: the clip, or one of its windows. */
  readonly grid: VideoGrid;
  /** Undefined where the clip is seen at once. */
  readonly windows:
    | { readonly count: number; readonly numFrames: number; readonly overlap: number }
    | undefined;
  /** Times the training length, in token frames. */
  readonly horizon: number;
  readonly tokens: TokenRows;
  readonly components: Readonly<Record<string, ComponentPlan>>;
  readonly attended: AttendedFrames;
  /** One forward pass, at key frame offset 0. */
  readonly flops: ForwardFlops;
  /** LVSA over dense: attention, and the whole forward pass. */
  readonly lvsaOverDense: { readonly attention: number; readonly forward: number };
  readonly steps: number;
  /** Forward passes per step, one video in each: guidance needs two predictions, and each window its own. */
  readonly forwardsPerStep: number;
  /** All steps, with the pattern of each step. */
  readonly totalFlops: { readonly dense: bigint; readonly lvsa: bigint };
}

/**
 * Plans a generation. Counts are exact.
 *
 * @throws UsageError `BAD_OPTION`; ConfigError for settings or configs that do not fit the model
 */
export function planGeneration(options: PlanOptions): GenerationPlan {
  checkOptionKinds(PLAN_KINDS, options, "planGeneration");
  const { model } = options;
  const { defaults } = model;
  const shape = modelShape(model, options.tokens);
  const { geometry, attention, rows } = shape;
  const { grid, windows } = seenGrid(options, geometry);
  shape.definition.video.checkPositions?.(shape.configs, grid);
  const steps = options.numInferenceSteps ?? defaults.numInferenceSteps;
  if (!Number.isInteger(steps) || steps < 1) {
    throw new UsageError("INVALID_STEPS", `${steps} steps; expected a whole number of at least 1.`);
  }

  const pattern = options.lvsa?.(grid, geometry) ?? densePattern(grid.tokenFrames);
  const sums = Array.from({ length: pattern.offsets }, (_, offset) => sum(pattern.attendedFrames(offset)));
  const transformer = model.components.transformer!;
  const weights = weightsByRows(getModelClass(transformer.className).parameters(transformer.config));
  const flopsAt = (attendedFramesSum: number): ForwardFlops =>
    forwardFlops({
      attention,
      rows,
      patchesPerFrame: grid.patchesPerFrame,
      videoTokens: grid.videoTokens,
      attendedFramesSum,
      weightsByRows: weights,
    });
  const perOffset = sums.map(flopsAt);
  const flops = perOffset[0]!;

  const guided =
    (options.guidanceScale ?? defaults.guidanceScale) > 1 ||
    (options.guidanceScale2 ?? defaults.guidanceScale2 ?? 0) > 1;
  const forwardsPerStep = (guided ? 2 : 1) * (windows?.count ?? 1);
  const repeat = BigInt(forwardsPerStep);
  let lvsaTotal = 0n;
  for (let step = 0; step < steps; step++) {
    lvsaTotal += perOffset[step % pattern.offsets]!.totalPerForward.lvsa * repeat;
  }

  const perQueryFrame = pattern.attendedFrames(0);
  return {
    model,
    geometry,
    grid,
    windows,
    horizon: grid.tokenFrames / geometry.referenceTokenFrames,
    tokens: rows,
    components: componentPlans(model),
    attended: attendedSummary(perQueryFrame, sums),
    flops,
    lvsaOverDense: {
      attention: ratio(flops.attentionPerForward.lvsa, flops.attentionPerForward.dense),
      forward: ratio(flops.totalPerForward.lvsa, flops.totalPerForward.dense),
    },
    steps,
    forwardsPerStep,
    totalFlops: { dense: flops.totalPerForward.dense * repeat * BigInt(steps), lvsa: lvsaTotal },
  };
}

/** @throws UsageError as of a generation */
function seenGrid(
  { model: { defaults }, windowFrames, ...options }: PlanOptions,
  geometry: ModelGeometry,
): Pick<GenerationPlan, "grid" | "windows"> {
  const { numFrames = defaults.numFrames, height = defaults.height, width = defaults.width } = options;
  const clip = videoGrid({ numFrames, height, width }, geometry);
  if (windowFrames === undefined) return { grid: clip, windows: undefined };
  const grid = videoGrid({ numFrames: windowFrames, height, width }, geometry);
  const { layout, windowOverlap: overlap } = planWindows(
    {
      windowFrames,
      ...(options.windowOverlap === undefined ? {} : { windowOverlap: options.windowOverlap }),
    },
    {
      latentFrames: clip.latentFramesPadded,
      windowLatentFrames: grid.latentFramesPadded,
      temporalFactor: geometry.vaeTemporal,
    },
  );
  const count = layout.windows.length;
  return count === 1 ? { grid: clip, windows: undefined } : { grid, windows: { count, numFrames, overlap } };
}

/** Weights of every component whose class is known. */
export function componentPlans(model: ModelDescription): Record<string, ComponentPlan> {
  return Object.fromEntries(
    Object.entries(model.components).map(([name, component]) => {
      const modelClass = getModelClass(component.className, name);
      const summary = summarizeParameters(modelClass.parameters(component.config, name));
      const storedBytes = summary.bytes[component.storedDType];
      return [name, { className: component.className, ...summary, storedBytes }];
    }),
  );
}

function densePattern(tokenFrames: number): AttendedFramesPattern {
  return { offsets: 1, attendedFrames: () => Array.from({ length: tokenFrames }, () => tokenFrames) };
}

function attendedSummary(perQueryFrame: readonly number[], sums: readonly number[]): AttendedFrames {
  const frames = perQueryFrame.length;
  const pairs = frames * frames;
  const densities = sums.map((attended) => attended / pairs);
  return {
    perQueryFrame,
    sum: sums[0]!,
    mean: sums[0]! / frames,
    density: densities[0]!,
    overOffsets: {
      offsets: sums.length,
      min: Math.min(...densities),
      max: Math.max(...densities),
      mean: sum(densities) / densities.length,
    },
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0);
}
