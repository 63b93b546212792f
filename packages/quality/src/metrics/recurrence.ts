/** Whether a clip comes back to what it showed before: loops. */
import type { VideoFrames } from "@lvsa/video";
import { mean } from "../statistics.js";
import { areaMeans } from "./area-means.js";

const GRID = 16;
/** Where nothing nearer differs by more than this, coming back means nothing. */
const STILL = 2 / 255;

export interface Recurrence {
  /** Mean root-mean-square distance of frames `k` apart, 0 to 1; the array starts at k = 1. */
  readonly lagDistance: readonly number[];
  /** How far the distance at lag `k` falls below the largest at shorter lags, 0 to 1; from k = 1. */
  readonly recurrence: readonly number[];
  /** 1 for a perfect loop. A lawful return (an object that wraps round) has some, too. */
  readonly loopIndex: number;
  /** Frames of that loop; 0 where there is none. */
  readonly loopPeriod: number;
}

/** Of a clip of at least two frames. */
export function measureRecurrence(clip: VideoFrames): Recurrence {
  const { count, height, width } = clip;
  const small = Array.from({ length: count }, (_, index) =>
    areaMeans(clip.get(index), [height, width, 3], [GRID, GRID]),
  );
  const lagDistance: number[] = [];
  const recurrence: number[] = [];
  let [loopIndex, loopPeriod, largest] = [0, 0, 0];
  for (let k = 1; k < count; k++) {
    const distances = Array.from({ length: count - k }, (_, t) => distance(small[t]!, small[t + k]!));
    const here = mean(distances);
    const back = largest > STILL ? Math.max(0, 1 - here / largest) : 0;
    largest = Math.max(largest, here);
    lagDistance.push(here);
    recurrence.push(back);
    // Long lags have few pairs, and one lucky pair is no loop.
    if (k < 2 || k > Math.floor((2 * count) / 3) || back <= loopIndex) continue;
    [loopIndex, loopPeriod] = [back, k];
  }
  return { lagDistance, recurrence, loopIndex, loopPeriod };
}

function distance(a: Float64Array, b: Float64Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(total / a.length) / 255;
}
