import { floatTensor, maxAbsolute, referenceCases, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, test } from "vitest";
import {
  byteDifferences,
  caseImageProcessor,
  imageEncoderRuns,
  imageOf,
} from "../testing-support/image-encoder-runs.js";
import { hasExpected, openCase } from "../testing-support/reference-case.js";
import { coverImage, coverImageInFloat, imageToVideoRange, stretchImage } from "./fit-image.js";

const cases = ["wan", "hunyuan", "cogvideox", "cosmos3"].flatMap((family) =>
  referenceCases(family)
    .filter(hasExpected)
    .map((reference) => ({ ...reference, family })),
);

test("the reference folder holds cases", () => {
  requireCases(cases);
});

/** From the picture to the video's size: names of both in each family. */
const FITTED = {
  wan: {
    fit: stretchImage,
    names: [["source_image", "image"] as const, ["i2v.source_image", "i2v.image"] as const],
  },
  cogvideox: { fit: stretchImage, names: [["image", "image_resized"] as const] },
  hunyuan: { fit: coverImage, names: [["image", "image_resized"] as const] },
  cosmos3: { fit: undefined, names: [["image", "image_preprocessed"] as const] },
};

describe.each(cases)("$family $name", ({ family, ...reference }) => {
  test("pictures come to the video's size as in Pillow, byte for byte", async (context) => {
    const { tensors } = await openCase(reference);
    const { fit, names } = FITTED[family as keyof typeof FITTED];
    const found = names.filter(([source, fitted]) => tensors[source] && tensors[fitted]);
    if (!fit || found.length === 0) context.skip(`${reference.name} resizes no picture with Pillow`);
    for (const [source, fitted] of found) {
      const golden = imageOf(tensors, fitted);
      const made = fit!(imageOf(tensors, source), golden);
      expect(byteDifferences(made.data, golden.data), fitted).toEqual({ worst: 0, share: 0 });
      const preprocessed = `${fitted
        .split(".")
        .slice(0, -1)
        .map((part) => `${part}.`)
        .join("")}image_preprocessed`;
      if (!tensors[preprocessed]) continue;
      // Both halves of one step of float32.
      expect(maxAbsolute(imageToVideoRange(made), floatTensor(tensors, preprocessed).data)).toBeLessThan(
        2e-7,
      );
    }
  });

  test("Cosmos 3's picture is scaled in float and rounded once", async (context) => {
    if (family !== "cosmos3") context.skip(`${reference.name} is of another family`);
    const { tensors } = await openCase(reference);
    if (!tensors.image || !tensors.image_preprocessed) context.skip(`${reference.name} has no picture`);
    const { data, shape } = floatTensor(tensors, "image_preprocessed");
    const size = { height: shape[2]!, width: shape[3]! };
    const bytes = (values: Float32Array) => Array.from(values, (x) => Math.round((x + 1) * 127.5));
    const made = coverImageInFloat(imageOf(tensors, "image"), size);
    const { worst, share } = byteDifferences(bytes(made), bytes(data));
    console.log(`${reference.name}: ${(100 * share).toFixed(3)} % of bytes differ, by ${worst} at most`);
    // Sums of float32 in another order may round to the other side.
    expect(worst).toBeLessThanOrEqual(1);
    expect(share).toBeLessThan(0.002);
  });

  test("pixel values of image encoders equal transformers'", async (context) => {
    const opened = await openCase(reference);
    const runs = imageEncoderRuns(opened);
    if (runs.length === 0) context.skip(`${reference.name} has no image encoder`);
    const processor = caseImageProcessor(opened);
    for (const { prefix, image } of runs) {
      const golden = imageOf(opened.tensors, `${prefix}.resized`);
      const resized = processor.resized(image);
      expect([resized.height, resized.width]).toEqual([golden.height, golden.width]);
      expect(byteDifferences(resized.data, golden.data), prefix).toEqual({ worst: 0, share: 0 });
      const pixels = processor.pixelValues(image);
      const expected = floatTensor(opened.tensors, `${prefix}.pixel_values`);
      expect(pixels.shape).toEqual(expected.shape);
      // The README of the cases: where the bytes are equal, these agree to 1e-6.
      expect(maxAbsolute(pixels.data, expected.data)).toBeLessThan(1e-6);
    }
  });
});
