/** What a frame looks like from afar, as a direction: for asking whether two frames show the same scene. */
import type { VideoFrames } from "@lvsa/video";
import { mean } from "../statistics.js";
import { areaMeans } from "./area-means.js";

const GRID = 8;

/** Area means on an 8x8 grid, from -0.5 to 0.5, scaled to length 1: 192 numbers. */
export function signature(rgb: Uint8Array, width: number, height: number): Float64Array {
  const values = areaMeans(rgb, [height, width, 3], [GRID, GRID]).map((value) => value / 255 - 0.5);
  const length = Math.sqrt(values.reduce((total, value) => total + value * value, 0));
  return length === 0 ? values : values.map((value) => value / length);
}

export function cosine(a: Float64Array, b: Float64Array): number {
  return a.reduce((total, value, i) => total + value * b[i]!, 0);
}

export interface Identity {
  /** Mean cosine of successive frames' signatures. 1 for a frozen clip: read it beside the motion. */
  readonly consecutive: number;
  /** Mean cosine between frames of the first and of the last part: does it still show the same? */
  readonly firstToLast: number;
}

/** @param all signatures of at least two frames; @param part frames at each end */
export function measureIdentity(all: readonly Float64Array[], part: number): Identity {
  const ends = all.slice(0, part).flatMap((a) => all.slice(-part).map((b) => cosine(a, b)));
  return { consecutive: mean(consecutiveCosines(all)), firstToLast: mean(ends) };
}

export function consecutiveCosines(all: readonly Float64Array[]): number[] {
  return all.slice(1).map((b, t) => cosine(all[t]!, b));
}

/** Of every frame. */
export function signatures(clip: VideoFrames): Float64Array[] {
  return Array.from({ length: clip.count }, (_, t) => signature(clip.get(t), clip.width, clip.height));
}
