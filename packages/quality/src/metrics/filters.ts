/** Small filters over luma frames; borders are mirrored without repeating the edge pixel, as OpenCV does. */

/** Index inside of `size` pixels for one up to `size - 1` outside. */
export function mirror(position: number, size: number): number {
  if (size === 1) return 0;
  const period = 2 * size - 2;
  const folded = ((position % period) + period) % period;
  return folded < size ? folded : period - folded;
}

/** One kernel along the rows, one along the columns; both of odd length. `[height, width]` to `[height, width]`. */
export function separable(
  frame: ArrayLike<number>,
  width: number,
  height: number,
  across: readonly number[],
  down: readonly number[],
): Float64Array {
  const rows = new Float64Array(width * height);
  const columns = new Float64Array(width * height);
  const [reachX, reachY] = [across.length >> 1, down.length >> 1];
  const xs = Array.from({ length: width + 2 * reachX }, (_, i) => mirror(i - reachX, width));
  const ys = Array.from({ length: height + 2 * reachY }, (_, i) => mirror(i - reachY, height));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (let i = 0; i < across.length; i++) total += across[i]! * frame[y * width + xs[x + i]!]!;
      rows[y * width + x] = total;
    }
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (let i = 0; i < down.length; i++) total += down[i]! * rows[ys[y + i]! * width + x]!;
      columns[y * width + x] = total;
    }
  }
  return columns;
}

/** Weights of a Gaussian, sum 1. */
export function gaussian(radius: number, sigma: number): number[] {
  const weights = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}
