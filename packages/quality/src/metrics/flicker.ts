/** Brightness that goes up and down faster than every fourth frame. */
import { mean } from "../statistics.js";

/** Cycles per frame above which a change of brightness is flicker. */
const FAST = 0.25;

/**
 * Root mean square of the fast part of the brightness, 0 to 1.
 *
 * @param frames luma of each frame
 */
export function measureFlicker(frames: readonly Uint8Array[]): {
  /** Mean luma of each frame, 0 to 255. */
  readonly meanLuma: readonly number[];
  readonly flicker: number;
} {
  const meanLuma = frames.map((frame) => mean(frame));
  const count = meanLuma.length;
  const values = withoutLine(meanLuma);
  let power = 0;
  for (let k = 0; k <= Math.floor(count / 2); k++) {
    if (k / count <= FAST) continue;
    let [real, imaginary] = [0, 0];
    for (let t = 0; t < count; t++) {
      // Reduced first: the product of large numbers loses digits of the angle.
      const angle = (-2 * Math.PI * ((k * t) % count)) / count;
      real += values[t]! * Math.cos(angle);
      imaginary += values[t]! * Math.sin(angle);
    }
    power += real * real + imaginary * imaginary;
  }
  return { meanLuma, flicker: Math.sqrt(2 * power) / count / 255 };
}

/** Least squares: a slow fade is no flicker. */
function withoutLine(values: readonly number[]): number[] {
  const centre = (values.length - 1) / 2;
  const level = mean(values);
  let [up, across] = [0, 0];
  values.forEach((value, t) => {
    up += (t - centre) * (value - level);
    across += (t - centre) ** 2;
  });
  const slope = across === 0 ? 0 : up / across;
  return values.map((value, t) => value - level - slope * (t - centre));
}
