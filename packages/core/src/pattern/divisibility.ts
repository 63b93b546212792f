/** Frame counts whose token sequence divides evenly between ranks. */

/** Positive multiples, nearest first below then above, of the smallest latent frame count that divides. */
export function nearestDivisibleFrames(frames: number, patchesPerFrame: number, worldSize: number): number[] {
  const step = worldSize / greatestCommonDivisor(patchesPerFrame, worldSize);
  const below = Math.floor(frames / step) * step;
  return [below, below + step].filter((count) => count > 0);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
