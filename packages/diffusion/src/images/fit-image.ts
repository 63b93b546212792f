/** Bringing an image to the size of a video, in the ways of diffusers' pipelines. */

import { roundHalfEven } from "../numbers/round-half-even.js";
import type { RgbImage } from "../pipelines/video-pipeline.js";
import { BILINEAR, filterWeights, LANCZOS, type PixelWeights, type ResizeFilter } from "./resize-filters.js";
import { checkBetween, type PixelWindow, resizeImage } from "./resize-image.js";

/** Pixels. */
export interface PixelSize {
  readonly height: number;
  readonly width: number;
}

/** Both edges as asked, whatever becomes of the aspect ratio (`resize_mode="default"`). */
export function stretchImage(image: RgbImage, { height, width }: PixelSize): RgbImage {
  return resizeImage(image, width, height, LANCZOS);
}

/** Scaled until it covers the size, then cut at the centre (`resize_mode="crop"`). */
export function coverImage(image: RgbImage, { height, width }: PixelSize): RgbImage {
  const isNarrower = width / height > image.width / image.height;
  const scaledWidth = isNarrower ? width : Math.floor((image.width * height) / image.height);
  const scaledHeight = isNarrower ? Math.floor((image.height * width) / image.width) : height;
  const half = (pixels: number) => Math.floor(pixels / 2);
  const left = half(scaledWidth) - half(width);
  const top = half(scaledHeight) - half(height);
  const size = { width: scaledWidth, height: scaledHeight };
  return resizeAndCrop(image, size, LANCZOS, { left, top, height, width });
}

/** A part of an image at another size; where it reaches over the edge it is black. */
export function resizeAndCrop(
  image: RgbImage,
  size: PixelSize,
  filter: ResizeFilter,
  { left, top, width, height }: PixelWindow,
): RgbImage {
  const first = { x: Math.max(0, left), y: Math.max(0, top) };
  const inside: PixelWindow = {
    ...{ left: first.x, top: first.y },
    width: Math.min(size.width, left + width) - first.x,
    height: Math.min(size.height, top + height) - first.y,
  };
  if (inside.width < 1 || inside.height < 1)
    return { data: new Uint8Array(width * height * 3), width, height };
  const part = resizeImage(image, size.width, size.height, filter, inside);
  if (part.width === width && part.height === height) return part;
  const data = new Uint8Array(height * width * 3);
  for (let y = 0; y < part.height; y++) {
    const row = part.data.subarray(y * part.width * 3, (y + 1) * part.width * 3);
    data.set(row, ((y + first.y - top) * width + first.x - left) * 3);
  }
  return { data, width, height };
}

/** RGB bytes to `[3, H, W]` in [−1, 1], with the roundings of float32. */
export function imageToVideoRange({ data, width, height }: RgbImage): Float32Array {
  const area = height * width;
  const out = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) out[c * area + i] = 2 * Math.fround(data[i * 3 + c]! / 255) - 1;
  }
  return out;
}

/**
 * Cosmos 3's way: scaled to cover the size with torch's antialiased bilinear filter, cut at the centre, and rounded to
 * whole bytes only then. `[3, H, W]` in [−1, 1]. Source: diffusers `_preprocess_conditioning_image`.
 */
export function coverImageInFloat(image: RgbImage, { height, width }: PixelSize): Float32Array {
  const scale = Math.max(width / image.width, height / image.height);
  const scaledWidth = Math.ceil(scale * image.width);
  const scaledHeight = Math.ceil(scale * image.height);
  const left = roundHalfEven((scaledWidth - width) / 2);
  const top = roundHalfEven((scaledHeight - height) / 2);
  checkBetween(image, { width: scaledWidth, height: scaledHeight }, 4 * image.height * width);
  const columns = filterWeights(image.width, scaledWidth, BILINEAR, { first: left, count: width });
  const rows = filterWeights(image.height, scaledHeight, BILINEAR, { first: top, count: height });
  const out = new Float32Array(3 * height * width);
  for (let c = 0; c < 3; c++) {
    // Pixels of all source rows, then of the wanted ones.
    const wide = new Float32Array(image.height * width);
    for (let y = 0; y < image.height; y++) {
      for (const [x, taken] of columns.entries()) {
        wide[y * width + x] = weighted(taken, (i) => image.data[(y * image.width + i) * 3 + c]!);
      }
    }
    for (const [y, taken] of rows.entries()) {
      for (let x = 0; x < width; x++) {
        const value = Math.fround(weighted(taken, (i) => wide[i * width + x]!));
        const byte = Math.min(255, Math.max(0, roundHalfEven(value)));
        out[(c * height + y) * width + x] = Math.fround(byte / 127.5) - 1;
      }
    }
  }
  return out;
}

function weighted({ start, weights }: PixelWeights, pixel: (index: number) => number): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i]! * pixel(start + i);
  return sum;
}
