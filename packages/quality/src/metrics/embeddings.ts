/**
 * What successive embeddings of frames say: steadiness, cycles, repeats. The formulas are those of vqeval, the Python companion
 * of LVSA, for any embeddings of frames: CLIP's, DINO's, or this package's `signature`.
 */
import { mean, variance } from "../statistics.js";
import { cosine } from "./signature.js";

type Embeddings = readonly Float64Array[];

/** Cosines above this make two frames that lie apart repeats of each other. */
const REPEAT = 0.97;

/** Frames apart from which on likeness is no mere neighbourhood. */
const shortestCycle = (count: number) => Math.max(3, Math.floor(count / 10));

const clamp = (value: number, high = 1) => Math.min(high, Math.max(0, value));

/** Cosines of all pairs, `[n][n]`. */
function likeness(embeddings: Embeddings): number[][] {
  const lengths = embeddings.map((e) => Math.sqrt(cosine(e, e)));
  return embeddings.map((a, i) =>
    embeddings.map((b, j) => cosine(a, b) / Math.max(1e-8, lengths[i]! * lengths[j]!)),
  );
}

/** 0 to 100, 100 for frames that hardly change: beside the motion only. */
export function flickeringScore(consecutiveCosines: readonly number[]): number {
  const changes = consecutiveCosines.map((value) => 1 - value);
  const level = clamp((1 - mean(changes) / 0.15) * 100, 100);
  return Math.max(0, level - Math.min(20, (Math.sqrt(variance(changes)) / 0.05) * 10));
}

export interface Repetition {
  /** 0 to 1: how far likeness at one distance stands out from that at others. */
  readonly cycle: number;
  /** Frames of that cycle. */
  readonly cyclePeriod: number;
  /** Mean and standard deviation of the cosines of different frames. */
  readonly meanLikeness: number;
  readonly likenessSpread: number;
  /** 0 to 1: three times the share of frame pairs that are repeats, at most 1. */
  readonly duplicates: number;
  /** Frames: the longest stretch that repeats another. */
  readonly longestRepeat: number;
  /** 0 to 1: autocorrelation of the changes at its strongest lag beyond two. */
  readonly autocorrelation: number;
  /** Frames. */
  readonly autocorrelationLag: number;
}

/** Of at least ten frames; undefined for fewer, which tell nothing. */
export function measureRepetition(embeddings: Embeddings): Repetition | undefined {
  if (embeddings.length < 10) return undefined;
  const like = likeness(embeddings);
  return { ...findCycle(like), ...findRepeats(like), ...autocorrelate(embeddings) };
}

function findCycle(like: readonly number[][]) {
  const count = like.length;
  const bands = Array.from({ length: Math.floor(count / 2) }, (_, i) =>
    mean(Array.from({ length: count - i - 1 }, (_, t) => like[t]![t + i + 1]!)),
  );
  const different = like.flatMap((row, i) => row.filter((_, j) => j !== i));
  const meanLikeness = mean(different);
  const level = mean(bands);
  const spread = Math.sqrt(variance(bands));
  const start = shortestCycle(count);
  const searched = bands.slice(start);
  const peak = searched.length > 0 ? Math.max(...searched) : level;
  const offset = searched.length > 0 ? searched.indexOf(peak) + start : 0;
  // All alike: no cycle stands out, but a clip that hardly changes repeats itself.
  let cycle = spread > 0 ? clamp((peak - level) / spread / 3) : clamp((level - 0.8) / 0.2);
  if (meanLikeness > 0.95) cycle = Math.max(cycle, 0.8);
  else if (meanLikeness > 0.9) cycle = Math.max(cycle, 0.5);
  return { cycle, cyclePeriod: offset + 1, meanLikeness, likenessSpread: Math.sqrt(variance(different)) };
}

function findRepeats(like: readonly number[][]) {
  const count = like.length;
  const gap = shortestCycle(count);
  let [repeats, pairs, longestRepeat] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    for (let j = i + gap; j < count; j++) {
      pairs++;
      if (like[i]![j]! > REPEAT) repeats++;
    }
  }
  for (let period = gap; period <= Math.floor(count / 2); period++) {
    let streak = 0;
    for (let i = 0; i + period < count; i++) {
      streak = like[i]![i + period]! > REPEAT ? streak + 1 : 0;
      longestRepeat = Math.max(longestRepeat, streak);
    }
  }
  return { duplicates: Math.min(1, (3 * repeats) / Math.max(1, pairs)), longestRepeat };
}

function autocorrelate(embeddings: Embeddings) {
  const changes = embeddings.slice(1).map((e, t) => Math.hypot(...e.map((v, i) => v - embeddings[t]![i]!)));
  const level = mean(changes);
  const offsets = changes.map((value) => value - level);
  const power = offsets.reduce((total, value) => total + value * value, 0);
  // Changes that are all alike: standing still, or one step again and again.
  if (power < 1e-8) return { autocorrelation: 0.8, autocorrelationLag: 1 };
  const lags = Array.from({ length: Math.floor(changes.length / 2) }, (_, i) => {
    let total = 0;
    for (let t = 0; t + i + 1 < offsets.length; t++) total += offsets[t]! * offsets[t + i + 1]!;
    return total / power;
  });
  const start = Math.min(2, lags.length - 1);
  const peak = Math.max(...lags.slice(start));
  return { autocorrelation: clamp(peak), autocorrelationLag: lags.indexOf(peak, start) + 1 };
}
