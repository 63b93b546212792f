/** Images to rows of patches: a convolution whose kernel equals its stride is a matrix product on these. */

/**
 * `[3, H, W]` to `[rows · columns, 3 · p · p]`, features in the order of a Conv2d weight. What is left over at the right
 * and at the bottom is dropped.
 */
export function imagePatches(
  pixels: Float32Array,
  channels: number,
  height: number,
  width: number,
  p: number,
): Float32Array {
  const rows = Math.floor(height / p);
  const columns = Math.floor(width / p);
  const out = new Float32Array(rows * columns * channels * p * p);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let c = 0; c < channels; c++) {
        for (let y = 0; y < p; y++) {
          const from = (c * height + row * p + y) * width + column * p;
          out.set(pixels.subarray(from, from + p), at);
          at += p;
        }
      }
    }
  }
  return out;
}
