/** How much a clip changes from frame to frame: freezing, fading motion, jumps. */
import type { VideoFrames } from "@lvsa/video";
import { mean, median } from "../statistics.js";

/** A mean difference below this (of 255) is a frozen pair. */
const FROZEN = 0.5;

export interface Changes {
  /** Mean absolute difference of successive frames over pixels and channels, 0 to 255; one fewer than frames. */
  readonly frameDifference: readonly number[];
  /** 1 for a frozen clip. Says nothing good alone: read it beside the motion. */
  readonly temporalConsistency: number;
  /** Share of pairs that are as good as equal. */
  readonly freezeRatio: number;
  /** Median change in the last third over that in the first; null where the first third stands still. */
  readonly motionRetention: number | null;
  /** The largest change over the usual one: about 1 when even, far above for a cut. */
  readonly jump: number;
}

/** Of a clip of at least two frames. */
export function measureChanges(clip: VideoFrames): Changes {
  const frameDifference = Array.from({ length: clip.count - 1 }, (_, t) =>
    meanDifference(clip.get(t), clip.get(t + 1)),
  );
  const third = Math.max(1, Math.floor(frameDifference.length / 3));
  const first = median(frameDifference.slice(0, third));
  const last = median(frameDifference.slice(-third));
  return {
    frameDifference,
    temporalConsistency: 1 - mean(frameDifference) / 255,
    freezeRatio: frameDifference.filter((d) => d < FROZEN).length / frameDifference.length,
    motionRetention: first === 0 ? null : last / first,
    jump: Math.max(...frameDifference) / (median(frameDifference) + FROZEN),
  };
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += Math.abs(a[i]! - b[i]!);
  return total / a.length;
}
