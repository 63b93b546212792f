/** Scores of clips as a table for people and as JSON for programs. */
import { basename } from "node:path";
import type { ClipScore } from "@lvsa/quality";
import { renderTable } from "../output/table.js";

interface Row {
  readonly title: string;
  readonly meaning: string;
  readonly value: (score: ClipScore) => string;
}

const number = (value: number | null, digits: number) => (value === null ? "-" : value.toFixed(digits));

/** Motion comes first: the others mean little for a clip that does not move. */
const ROWS: readonly Row[] = [
  { title: "motion", meaning: "pixels per frame, mean of all blocks", value: (s) => number(s.motionMean, 2) },
  {
    title: "frozen pairs",
    meaning: "share of frames that equal the next",
    value: (s) => number(s.freezeRatio, 2),
  },
  {
    title: "motion kept",
    meaning: "change in the last third over the first; 1 is even",
    value: (s) => number(s.motionRetention, 2),
  },
  {
    title: "consistency",
    meaning: "1 less the mean change; 1 is frozen",
    value: (s) => number(s.temporalConsistency, 4),
  },
  {
    title: "identity",
    meaning: "likeness of first and last frames from afar; 1 is the same",
    value: (s) => number(s.identity.firstToLast, 4),
  },
  {
    title: "jump",
    meaning: "largest change over the usual; about 1 is even, far above a cut",
    value: (s) => number(s.jump, 2),
  },
  { title: "flicker", meaning: "fast changes of brightness; 0 is none", value: (s) => number(s.flicker, 4) },
  {
    title: "sharpness kept",
    meaning: "last frames over first; below 1 blurs",
    value: (s) => number(s.sharpnessRatio, 2),
  },
  {
    title: "colour drift",
    meaning: "mean colour, last frames less first, 0 to 1",
    value: (s) => number(s.colorDrift, 4),
  },
  {
    title: "background drift",
    meaning: "the same of the median colour",
    value: (s) => number(s.backgroundDrift, 4),
  },
  {
    title: "loop",
    meaning: "1 repeats exactly, after so many frames",
    value: (s) => `${number(s.loopIndex, 2)}${s.loopPeriod ? ` @ ${s.loopPeriod}` : ""}`,
  },
  {
    title: "repeats",
    meaning: "frames that lie apart and look alike from afar, 0 to 1",
    value: (s) => number(s.repetition?.duplicates ?? null, 2),
  },
  {
    title: "banding",
    meaning: "flat steps of brightness, 0 to 1",
    value: (s) => number(s.artifacts.banding, 3),
  },
  {
    title: "tiling",
    meaning: "texture that repeats in a frame, 0 to 1",
    value: (s) => number(s.artifacts.tiling, 3),
  },
  {
    title: "noise",
    meaning: "how unlike even Gaussian noise the finest detail is, 0 to 1",
    value: (s) => number(s.artifacts.noiseAnomaly, 3),
  },
  {
    title: "residual",
    meaning: "what motion does not explain, 0 to 1",
    value: (s) => number(s.residualMean, 4),
  },
];

/** One column for each video. */
export function renderScores(
  scores: readonly { readonly path: string; readonly score: ClipScore }[],
): string {
  const heads = scores.map(
    ({ path, score }) => `${path}: ${score.frames} frames, ${score.width}x${score.height}`,
  );
  const columns = [
    { title: "" },
    ...scores.map(({ path }) => ({ title: basename(path), align: "right" as const })),
    { title: "" },
  ];
  const rows = ROWS.map(({ title, meaning, value }) => [
    title,
    ...scores.map(({ score }) => value(score)),
    meaning,
  ]);
  const scaled = scores.filter(({ score }) => score.motionScale > 1);
  const notes = scaled.map(
    ({ path, score }) => `${path}: motion was measured at 1/${score.motionScale} of the size`,
  );
  return `${[...heads, "", ...renderTable(columns, rows), ...(notes.length > 0 ? ["", ...notes] : [])].join("\n")}\n`;
}

/** Names of the reference suite. */
export function scoreToJson(path: string, decoder: string, s: ClipScore): Readonly<Record<string, unknown>> {
  return {
    path,
    decoder,
    frames: s.frames,
    width: s.width,
    height: s.height,
    motion_mean: s.motionMean,
    freeze_ratio: s.freezeRatio,
    motion_retention: s.motionRetention,
    temporal_consistency: s.temporalConsistency,
    identity: { consecutive: s.identity.consecutive, first_to_last: s.identity.firstToLast },
    jump: s.jump,
    flicker: s.flicker,
    sharpness_ratio: s.sharpnessRatio,
    colour_drift: s.colorDrift,
    background_drift: s.backgroundDrift,
    loop_index: s.loopIndex,
    loop_period: s.loopPeriod,
    repetition: s.repetition
      ? {
          cycle: s.repetition.cycle,
          cycle_period: s.repetition.cyclePeriod,
          mean_likeness: s.repetition.meanLikeness,
          likeness_spread: s.repetition.likenessSpread,
          duplicates: s.repetition.duplicates,
          longest_repeat: s.repetition.longestRepeat,
          autocorrelation: s.repetition.autocorrelation,
          autocorrelation_lag: s.repetition.autocorrelationLag,
        }
      : null,
    banding: s.artifacts.banding,
    tiling: s.artifacts.tiling,
    noise_anomaly: s.artifacts.noiseAnomaly,
    residual_mean: s.residualMean,
    motion_scale: s.motionScale,
    per_frame: { mean_luma: s.meanLuma, sharpness: s.sharpness },
    per_pair: {
      frame_difference: s.frameDifference,
      motion: s.motion.map(({ meanMagnitude, movingFraction, residual, change, meanVector }) => ({
        mean_magnitude: meanMagnitude,
        moving_fraction: movingFraction,
        residual,
        change,
        mean_vector: meanVector,
      })),
    },
    per_lag: { loop_lag_distance: s.lagDistance, loop_recurrence: s.recurrence },
  };
}
