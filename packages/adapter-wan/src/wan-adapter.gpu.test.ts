import { join } from "node:path";
import {
  adapterConformance,
  type ConformanceFixture,
  conformanceChecks,
  type KnownClip,
} from "@lvsa/core/testing";
import { runMutants } from "@lvsa/core/testing/adapter-mutants";
import { WanTransformer3DModel } from "@lvsa/diffusion/wan";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createWanAdapter } from "./wan-adapter.js";

const checkpoint = join(import.meta.dirname, "../../../fixtures/tiny-wan/transformer");
/** From the published checkpoints: Wan 2.1 and 2.2 A14B, and TI2V-5B with its own autoencoder. */
const KNOWN: readonly KnownClip[] = [
  {
    host: {
      spatialFactor: 8,
      temporalFactor: 4,
      transformerConfig: { patch_size: [1, 2, 2], in_channels: 16 },
    },
    ...{ numFrames: 81, height: 480, width: 832 },
    ...{ latentFrames: 21, patchesPerFrame: 30 * 52, referenceLatentFrames: 21 },
  },
  {
    host: {
      spatialFactor: 16,
      temporalFactor: 4,
      referenceLatentFrames: 31,
      transformerConfig: { patch_size: [1, 2, 2], in_channels: 48 },
    },
    ...{ numFrames: 121, height: 704, width: 1280 },
    ...{ latentFrames: 31, patchesPerFrame: 22 * 40, referenceLatentFrames: 31 },
  },
];
let device: Device;
let fixture: ConformanceFixture;
const extra: { [Symbol.dispose](): void }[] = [];

beforeAll(async () => {
  device = await testDevice();
  const model = new WanTransformer3DModel(device, readJson(join(checkpoint, "config.json")));
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  const module = model.attentionModules()[0]!;
  const width = module.heads * module.headDim;
  fixture = {
    device,
    adapter: createWanAdapter(),
    model,
    layers: ["transformer.blocks.0.attn1", "transformer.blocks.1.attn1"],
    known: KNOWN,
    makeCall: (latentFrames, patchesPerFrame) => {
      const tokens = latentFrames * patchesPerFrame;
      const angles = seededNormal((tokens * module.headDim) / 2, 3);
      const table = (f: (x: number) => number) => device.upload(angles.map(f), [tokens, module.headDim / 2]);
      return {
        device,
        family: "wan",
        module,
        hiddenStates: device.upload(seededNormal(tokens * width, 7), [1, tokens, width]),
        rotary: { cos: table(Math.cos), sin: table(Math.sin) },
        geometry: { latentFrames, patchesPerFrame, height: 2, width: patchesPerFrame / 2 },
      };
    },
    release: (call) => {
      for (const t of [call.hiddenStates, call.rotary?.cos, call.rotary?.sin]) t?.dispose();
    },
  };
  extra.push({ [Symbol.dispose]: () => model.dispose() });
});
afterAll(() => {
  for (const one of extra) one[Symbol.dispose]();
  device.dispose();
});

describe("Wan adapter conformance", () => {
  test.each(conformanceChecks())("%s", async (name) => {
    await adapterConformance(fixture)
      .find((check) => check.name === name)!
      .run();
  });

  test("notices every adapter that is wrong in one line", async () => {
    const { names, unnoticed } = await runMutants(fixture);
    expect(unnoticed).toEqual([]);
    expect(names.length).toBeGreaterThan(8);
  });
});
