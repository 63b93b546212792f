/** Pictures of any shape: parts are those of the whole, and what would never end is not made. */
import { seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import type { RgbImage } from "../pipelines/video-pipeline.js";
import { coverImage, coverImageInFloat, resizeAndCrop, stretchImage } from "./fit-image.js";
import { ImageProcessor } from "./image-processor.js";
import { BICUBIC, BILINEAR, LANCZOS } from "./resize-filters.js";
import { resizeImage } from "./resize-image.js";

const random = seededUniform(3);
const picture = (width: number, height: number): RgbImage => ({
  ...{ width, height, data: Uint8Array.from({ length: width * height * 3 }, () => 256 * random()) },
});
const flat = (width: number, height: number): RgbImage => ({
  ...{ width, height, data: new Uint8Array(width * height * 3).fill(77) },
});
const pixel = ({ data, width }: RgbImage, x: number, y: number) => [
  ...data.subarray((y * width + x) * 3).subarray(0, 3),
];

describe("a part of a resized picture", () => {
  const image = picture(23, 17);
  it.each([
    ["larger", 40, 31, LANCZOS],
    ["smaller", 9, 7, BICUBIC],
    ["wider alone", 50, 17, BILINEAR],
    ["taller alone", 23, 60, LANCZOS],
    ["as it is", 23, 17, LANCZOS],
  ] as const)("is that of the whole one: %s", (_what, width, height, filter) => {
    const whole = resizeImage(image, width, height, filter);
    for (const [left, top, right, bottom] of [
      [0, 0, width, height],
      [3, 2, 8, 6],
      [width - 1, height - 1, width, height],
      [-4, -3, width + 5, height + 6],
      [2, -2, 4, height],
      [width + 1, 0, width + 3, 2],
    ] as const) {
      const window = { left, top, width: right - left, height: bottom - top };
      const part = resizeAndCrop(image, { width, height }, filter, window);
      expect([part.width, part.height]).toEqual([window.width, window.height]);
      for (let y = 0; y < part.height; y++)
        for (let x = 0; x < part.width; x++) {
          const isInside = x + left >= 0 && x + left < width && y + top >= 0 && y + top < height;
          expect(pixel(part, x, y)).toEqual(isInside ? pixel(whole, x + left, y + top) : [0, 0, 0]);
        }
    }
  });
});

describe("pictures of any shape", () => {
  const clip = ImageProcessor.fromConfig({}, "CLIPImageProcessor", "x");
  const siglip = ImageProcessor.fromConfig(
    { size: { height: 384, width: 384 } },
    "SiglipImageProcessor",
    "x",
  );
  const size = { height: 48, width: 80 };

  it.each([
    [1, 1],
    [1, 2],
    [20_000, 1],
    [1, 8000],
    [4000, 3],
    [2, 3001],
    [1200, 900],
  ])("%i x %i", (width, height) => {
    const image = flat(width, height);
    for (const fitted of [stretchImage(image, size), coverImage(image, size)]) {
      expect(fitted).toMatchObject(size);
      expect(new Set(fitted.data)).toEqual(new Set([77]));
    }
    const floats = coverImageInFloat(image, size);
    expect(floats).toHaveLength(3 * 48 * 80);
    expect(new Set(floats)).toEqual(new Set([Math.fround(Math.fround(77 / 127.5) - 1)]));
    for (const [processor, edge] of [
      [clip, 224],
      [siglip, 384],
    ] as const) {
      const { shape, data } = processor.pixelValues(image);
      expect(shape).toEqual([1, 3, edge, edge]);
      for (let c = 0; c < 3; c++) expect(data[c * edge * edge]).toBe(data[(c + 1) * edge * edge - 1]);
    }
  });

  it("that would fill the memory on the way are refused by name", () => {
    const image = { width: 1, height: 40_000_000, data: new Uint8Array(0), name: "tower.png" };
    const refused = expect.objectContaining({ code: "BAD_IMAGE", where: "tower.png" });
    expect(() => stretchImage(image, size)).toThrow(refused);
    expect(() => coverImageInFloat({ ...image, width: 2_000_000 }, size)).toThrow(refused);
  });
});
