/** Bringing an image to the size of a video, in the ways of diffusers' pipelines. */

import { roundHalfEven } from "../numbers/round-half-even.js";
import type { RgbImage } from "../pipelines/video-pipeline.js";
import { BILINEAR, filterWeights, LANCZOS, type PixelWeights } from "./resize-filters.js";
import { resizeImage } from "./resize-image.js";

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
  const scaled = resizeImage(image, scaledWidth, scaledHeight, LANCZOS);
  const half = (pixels: number) => Math.floor(pixels / 2);
  const left = half(scaledWidth) - half(width);
  const top = half(scaledHeight) - half(height);
  return cropImage(scaled, { left, top, height, width });
}

/** A part of an image; where it reaches over the edge it is black. */
export function cropImage(
  image: RgbImage,
  { left, top, height, width }: PixelSize & { readonly left: number; readonly top: number },
): RgbImage {
  const data = new Uint8Array(height * width * 3);
  const first = Math.max(0, -left);
  const last = Math.min(width, image.width - left);
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top) && first < last; y++) {
    const row = ((y + top) * image.width + left) * 3;
    data.set(image.data.subarray(row + first * 3, row + last * 3), (y * width + first) * 3);
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
  const columns = filterWeights(image.width, scaledWidth, BILINEAR).slice(left, left + width);
  const rows = filterWeights(image.height, scaledHeight, BILINEAR).slice(top, top + height);
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
