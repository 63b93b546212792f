/**
 * Resizing RGB images byte for byte as Pillow's `Image.resize` does, which the image processors of diffusers and
 * transformers call: separable, rows first, with weights in fixed point and bytes between the two passes.
 * Source: Pillow `src/libImaging/Resample.c`.
 */
import type { RgbImage } from "../pipelines/video-pipeline.js";
import { filterWeights, type ResizeFilter } from "./resize-filters.js";

/** Bits behind the point of a weight. */
const PRECISION = 2 ** 22;

/** A new image of that size, or the same one where it has it. */
export function resizeImage(image: RgbImage, width: number, height: number, filter: ResizeFilter): RgbImage {
  const { width: sourceWidth, height: sourceHeight } = image;
  let { data } = image;
  if (width !== sourceWidth) {
    const lines = { count: sourceHeight, step: sourceWidth * 3, outStep: width * 3 };
    data = resizeLines(data, lines, { source: sourceWidth, target: width, step: 3 }, filter);
  }
  if (height !== sourceHeight) {
    // Columns of bytes: the three colours are lines of their own.
    const lines = { count: width * 3, step: 1, outStep: 1 };
    data = resizeLines(data, lines, { source: sourceHeight, target: height, step: width * 3 }, filter, 1);
  }
  return data === image.data ? image : { data, width, height };
}

interface Lines {
  readonly count: number;
  /** From one line to the next, in the source and in the result. */
  readonly step: number;
  readonly outStep: number;
}

/** Along a line. */
interface Axis {
  readonly source: number;
  readonly target: number;
  /** From one pixel to the next. */
  readonly step: number;
}

/** Resizes lines of pixels of `colours` bytes that lie side by side. */
function resizeLines(
  data: Uint8Array,
  lines: Lines,
  axis: Axis,
  filter: ResizeFilter,
  colours = 3,
): Uint8Array {
  const all = filterWeights(axis.source, axis.target, filter).map(({ start, weights }) => ({
    start,
    // Rounded half away from zero.
    weights: weights.map((weight) => Math.trunc(weight * PRECISION + (weight < 0 ? -0.5 : 0.5))),
  }));
  const out = new Uint8Array(lines.count * axis.target * colours);
  for (let line = 0; line < lines.count; line++) {
    for (const [i, { start, weights }] of all.entries()) {
      for (let colour = 0; colour < colours; colour++) {
        let sum = PRECISION / 2;
        let at = line * lines.step + start * axis.step + colour;
        for (const weight of weights) {
          sum += data[at]! * weight;
          at += axis.step;
        }
        const value = Math.floor(sum / PRECISION);
        out[line * lines.outStep + i * axis.step + colour] = Math.min(255, Math.max(0, value));
      }
    }
  }
  return out;
}
