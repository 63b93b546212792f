/**
 * Resizing RGB images byte for byte as Pillow's `Image.resize` does, which the image processors of diffusers and
 * transformers call: separable, rows first, with weights in fixed point and bytes between the two passes.
 * Source: Pillow `src/libImaging/Resample.c`.
 */
import { ConfigError } from "@lvsa/runtime";
import type { RgbImage } from "../pipelines/video-pipeline.js";
import { filterWeights, type PixelWeights, type ResizeFilter, sourceRange } from "./resize-filters.js";

/** Bits behind the point of a weight. */
const PRECISION = 2 ** 22;

/** A part of an image, in pixels. */
export interface PixelWindow {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** What lies between the two passes is held whole. */
const MAX_BYTES = 2 ** 31;

/**
 * A new image of that size, or the same one where it has it; of a window alone that is cut from it afterwards, the rest
 * of it is never made.
 *
 * @throws ConfigError `BAD_IMAGE` for an image so much longer than wide that it does not fit into memory on the way
 */
export function resizeImage(
  image: RgbImage,
  width: number,
  height: number,
  filter: ResizeFilter,
  window: PixelWindow = { left: 0, top: 0, width, height },
): RgbImage {
  const wanted = { first: window.top, count: window.height };
  const isTaller = height !== image.height;
  const { first: firstRow, count: rowCount } = isTaller
    ? sourceRange(image.height, height, filter, wanted)
    : wanted;
  const between: PixelWindow = {
    ...{ left: window.left, width: window.width },
    ...{ top: firstRow, height: rowCount },
  };
  checkBetween(image, { width, height }, 3 * between.width * between.height);
  let { data } = image;
  if (width !== image.width) {
    const columns = filterWeights(image.width, width, filter, { first: window.left, count: window.width });
    const source = data.subarray(firstRow * image.width * 3, (firstRow + rowCount) * image.width * 3);
    const lines = { count: between.height, step: image.width * 3, outStep: window.width * 3 };
    data = resizeLines(source, lines, columns, 3, 3);
  } else if (between.width !== image.width || between.height !== image.height) {
    data = cutWindow(image, between);
  }
  if (isTaller) {
    // Columns of bytes: the three colours are lines of their own.
    const lines = { count: window.width * 3, step: 1, outStep: 1 };
    const rows = filterWeights(image.height, height, filter, wanted);
    const moved = rows.map(({ start, weights }) => ({ start: start - firstRow, weights }));
    data = resizeLines(data, lines, moved, window.width * 3, 1);
  }
  return data === image.data ? image : { data, width: window.width, height: window.height };
}

/** @throws ConfigError `BAD_IMAGE` where what lies between two passes takes more bytes than can be held */
export function checkBetween(
  image: RgbImage,
  { width, height }: { readonly width: number; readonly height: number },
  bytes: number,
): void {
  if (bytes <= MAX_BYTES) return;
  const sizes = `from ${image.width}x${image.height} to ${width}x${height}`;
  throw new ConfigError("BAD_IMAGE", `the image does not fit into memory on the way ${sizes}`, {
    ...(image.name === undefined ? {} : { where: image.name }),
    fix: "Use one whose shape is nearer to the video's.",
  });
}

function cutWindow(image: RgbImage, { left, top, width, height }: PixelWindow): Uint8Array {
  const out = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((y + top) * image.width + left) * 3;
    out.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return out;
}

interface Lines {
  readonly count: number;
  /** From one line to the next, in the source and in the result. */
  readonly step: number;
  readonly outStep: number;
}

/**
 * Resizes lines of pixels of `colours` bytes that lie side by side.
 *
 * @param weights of each pixel of the result
 * @param pixelStep from one pixel of a line to the next
 */
function resizeLines(
  data: Uint8Array,
  lines: Lines,
  weights: readonly PixelWeights[],
  pixelStep: number,
  colours: number,
): Uint8Array {
  const all = weights.map(({ start, weights: floats }) => ({
    start,
    // Rounded half away from zero.
    fixed: floats.map((weight) => Math.trunc(weight * PRECISION + (weight < 0 ? -0.5 : 0.5))),
  }));
  const out = new Uint8Array(lines.count * all.length * colours);
  for (let line = 0; line < lines.count; line++) {
    for (const [i, { start, fixed }] of all.entries()) {
      for (let colour = 0; colour < colours; colour++) {
        let sum = PRECISION / 2;
        let at = line * lines.step + start * pixelStep + colour;
        for (const weight of fixed) {
          sum += data[at]! * weight;
          at += pixelStep;
        }
        const value = Math.floor(sum / PRECISION);
        out[line * lines.outStep + i * pixelStep + colour] = Math.min(255, Math.max(0, value));
      }
    }
  }
  return out;
}
