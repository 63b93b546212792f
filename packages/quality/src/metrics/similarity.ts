/** How alike two pictures are. */
import { gaussian } from "./filters.js";

/**
 * Peak signal-to-noise ratio in decibels over all bytes; null for equal pictures, where it has no bound.
 */
export function psnr(a: Uint8Array, b: Uint8Array): number | null {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i]! - b[i]!) ** 2;
  return total === 0 ? null : 10 * Math.log10((255 * 255) / (total / a.length));
}

const RADIUS = 5;
const SIGMA = 1.5;
const C1 = (0.01 * 255) ** 2;
const C2 = (0.03 * 255) ** 2;

/** Weighted means where the window fits: `[height - 10, width - 10]`. */
function smooth(
  values: ArrayLike<number>,
  width: number,
  height: number,
  weights: readonly number[],
): Float64Array {
  const columns = width - 2 * RADIUS;
  const rows = height - 2 * RADIUS;
  const across = new Float64Array(height * columns);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < columns; x++) {
      let total = 0;
      for (let i = 0; i < weights.length; i++) total += weights[i]! * values[y * width + x + i]!;
      across[y * columns + x] = total;
    }
  }
  const out = new Float64Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      let total = 0;
      for (let i = 0; i < weights.length; i++) total += weights[i]! * across[(y + i) * columns + x]!;
      out[y * columns + x] = total;
    }
  }
  return out;
}

/**
 * Structural similarity of two luma frames `[height, width]`: Gaussian window 11x11, sigma 1.5, population covariance,
 * mean over the positions where the window fits. NaN for frames smaller than the window.
 * Source: Wang, Bovik, Sheikh, Simoncelli 2004.
 */
export function ssim(a: Uint8Array, b: Uint8Array, width: number, height: number): number {
  if (width <= 2 * RADIUS || height <= 2 * RADIUS) return Number.NaN;
  const weights = gaussian(RADIUS, SIGMA);
  const means = (values: ArrayLike<number>) => smooth(values, width, height, weights);
  const product = (x: Uint8Array, y: Uint8Array) => Float64Array.from(x, (value, i) => value * y[i]!);
  const [ma, mb] = [means(a), means(b)];
  const [aa, bb, ab] = [means(product(a, a)), means(product(b, b)), means(product(a, b))];
  let total = 0;
  for (let i = 0; i < ma.length; i++) {
    const [x, y] = [ma[i]!, mb[i]!];
    const spread = aa[i]! - x * x + bb[i]! - y * y;
    const shared = ab[i]! - x * y;
    total += ((2 * x * y + C1) * (2 * shared + C2)) / ((x * x + y * y + C1) * (spread + C2));
  }
  return total / ma.length;
}
