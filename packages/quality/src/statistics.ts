/** Numbers about numbers, in double precision. Spread is of the population (divided by n). */

export function sum(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]!;
  return total;
}

/** NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** The mean of both middle values where their number is even; NaN of nothing. */
export function median(values: ArrayLike<number>): number {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function variance(values: ArrayLike<number>): number {
  const centre = mean(values);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += (values[i]! - centre) ** 2;
  return total / values.length;
}

/** Between which values the true one lies with 95 % confidence. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** 97.5 % of a normal distribution lie below this many standard deviations. */
const Z95 = 1.959963984540054;

/**
 * Wilson's interval of a share when `hits` of `trials` were seen. Parts of hits (a trial that is half right) are fine: they
 * spread less than whole ones, so that the interval is rather too wide.
 * Honest for few trials and near 0 and 1, where the usual one is not. Nothing seen: 0 to 1.
 * Source: E. B. Wilson 1927; Brown, Cai, DasGupta 2001.
 */
export function wilsonInterval(hits: number, trials: number): Interval {
  if (trials === 0) return { low: 0, high: 1 };
  const share = hits / trials;
  const scale = 1 + Z95 ** 2 / trials;
  const centre = (share + Z95 ** 2 / (2 * trials)) / scale;
  const half = (Z95 * Math.sqrt((share * (1 - share)) / trials + Z95 ** 2 / (4 * trials * trials))) / scale;
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Random numbers in [0, 1) that are the same on every machine (xorshift32; a tool of statistics, not of generation). */
export function randomSource(seed: number): () => number {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** Below so many values a bootstrap says too little spread. */
const FEWEST = 5;

/**
 * A mean with its 95 % bootstrap interval: percentiles of means of samples drawn again with replacement, moved away from the
 * mean as far as Student's distribution asks for few values (T. Hesterberg 2015). The same numbers always give the same interval. Fewer than five have no interval: drawing them again
 * tells nothing. Of differences between pairs: a paired bootstrap.
 */
export function bootstrapMean(
  values: readonly number[],
  samples = 2000,
): { readonly mean: number; readonly interval: Interval | undefined } {
  if (values.length < FEWEST) return { mean: mean(values), interval: undefined };
  const random = randomSource(values.length);
  const means = Float64Array.from({ length: samples }, () => {
    let total = 0;
    for (let i = 0; i < values.length; i++) total += values[Math.floor(random() * values.length)]!;
    return total / values.length;
  }).sort();
  const centre = mean(values);
  const widen = (studentQuantile(values.length - 1) / Z95) * Math.sqrt(values.length / (values.length - 1));
  const at = (share: number) =>
    centre + widen * (means[Math.min(samples - 1, Math.floor(share * samples))]! - centre);
  return { mean: centre, interval: { low: at(0.025), high: at(0.975) } };
}

/** What 97.5 % of Student's distribution lie below, by its expansion around the normal one: 2 % off at 4 degrees of freedom. */
function studentQuantile(freedom: number): number {
  const z = Z95;
  return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2);
}
