import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  caseImageProcessor,
  imageEncoderRuns,
  singlePassTolerance,
} from "../../testing-support/image-encoder-runs.js";
import { ParityReport } from "../../testing-support/parity.js";
import { hasExpected, openCase, readJson } from "../../testing-support/reference-case.js";
import { Taps } from "../../testing-support/taps.js";
import { VisionEncoder } from "./vision-encoder.js";

const cases = ["wan", "hunyuan"].flatMap((family) => referenceCases(family).filter(hasExpected));
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds cases", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("every layer of the image encoder equals transformers', and no memory is left behind", async (context) => {
    const opened = await openCase(reference);
    const { tensors, checkpoint, parameters } = opened;
    const runs = imageEncoderRuns(opened);
    if (runs.length === 0) context.skip(`${reference.name} has no image encoder`);
    const before = device.memory().liveBytes;
    const tolerance = singlePassTolerance(parameters);
    const report = new ParityReport(`${reference.name} image encoder`, tensors);
    const folder = join(checkpoint, "image_encoder");
    const source = await openWeights(nodeFolder(folder), "model");
    const config = readJson(join(folder, "config.json"));
    const isClip = runs[0]!.prefix.startsWith("clip");
    const encoder = isClip
      ? VisionEncoder.clipPenultimate(device, source, config)
      : VisionEncoder.siglip(device, source, config);
    const processor = caseImageProcessor(opened);
    // Together, with one pass over the weights.
    const pixels = runs.map(({ image }) => processor.pixelValues(image));
    const taps = new Taps(device);
    const done: number[] = [];
    const hidden = await encoder.encode(pixels, {
      tap: (name, tensor, image) => taps.tap(`${runs[image]!.prefix}.${name}`, tensor),
      onProgress: (layers) => done.push(layers),
    });
    for (const [i, { prefix }] of runs.entries()) {
      const data = await device.read(hidden[i]!);
      const name = isClip ? `${prefix}.penultimate` : "image_embeds";
      expect(hidden[i]!.shape).toEqual(floatTensor(tensors, name).shape);
      report.check(name, data, tolerance, "embeddings");
      hidden[i]!.dispose();
    }
    for (const [name, data] of await taps.read()) {
      // The case may stop before the last layer that runs, which is the result then.
      if (report.has(name)) report.check(name, data, tolerance, "layers");
    }
    // CLIP's last layer is not used.
    expect(done.at(-1)).toBe((config.num_hidden_layers as number) - (isClip ? 1 : 0));
    await source.close();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
