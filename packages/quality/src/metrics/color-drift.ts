/** Whether the last part of a clip still has the colours of the first. */
import type { VideoFrames } from "@lvsa/video";
import { mean } from "../statistics.js";

export interface ColorDrift {
  /** Root mean square over R, G, B of the change of the mean colour, 0 to 1. */
  readonly colorDrift: number;
  /** The same of the median colour, which small objects do not change. */
  readonly backgroundDrift: number;
}

/** Between the first and the last `part` frames. */
export function measureColorDrift(clip: VideoFrames, part: number): ColorDrift {
  const colors = Array.from({ length: clip.count }, (_, index) => frameColors(clip.get(index)));
  const drift = (kind: "means" | "medians") => {
    const of = (frames: typeof colors, channel: number) => mean(frames.map((frame) => frame[kind][channel]!));
    let total = 0;
    for (let channel = 0; channel < 3; channel++) {
      total += (of(colors.slice(-part), channel) - of(colors.slice(0, part), channel)) ** 2;
    }
    return Math.sqrt(total / 3) / 255;
  };
  return { colorDrift: drift("means"), backgroundDrift: drift("medians") };
}

function frameColors(rgb: Uint8Array): { readonly means: number[]; readonly medians: number[] } {
  const pixels = rgb.length / 3;
  const means: number[] = [];
  const medians: number[] = [];
  for (let channel = 0; channel < 3; channel++) {
    const counts = new Uint32Array(256);
    for (let at = channel; at < rgb.length; at += 3) counts[rgb[at]!]!++;
    means.push(counts.reduce((total, count, value) => total + count * value, 0) / pixels);
    medians.push((valueAt(counts, (pixels - 1) >> 1) + valueAt(counts, pixels >> 1)) / 2);
  }
  return { means, medians };
}

/** The value at a place of the sorted pixels. */
function valueAt(counts: Uint32Array, place: number): number {
  let seen = 0;
  for (let value = 0; value < counts.length; value++) {
    seen += counts[value]!;
    if (seen > place) return value;
  }
  return Number.NaN;
}
