import { join } from "node:path";
import {
  adapterConformance,
  type ConformanceFixture,
  conformanceChecks,
  type KnownClip,
} from "@lvsa/core/testing";
import { runMutants } from "@lvsa/core/testing/adapter-mutants";
import { HunyuanVideo15Transformer3DModel } from "@lvsa/diffusion/hunyuan";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHunyuanAdapter } from "./hunyuan-adapter.js";

const TEXT_TOKENS = 11;
const checkpoint = join(
  import.meta.dirname,
  "../../../fixtures/reference/hunyuan/pipeline/checkpoint/transformer",
);
/** From the published checkpoint of 480p. Its autoencoder takes 16 pixels to a cell, and a token is one cell. */
const KNOWN: readonly KnownClip[] = [
  {
    host: { spatialFactor: 16, temporalFactor: 4, transformerConfig: { patch_size: 1 } },
    ...{ numFrames: 121, height: 480, width: 848 },
    ...{ latentFrames: 31, patchesPerFrame: 30 * 53, referenceLatentFrames: 33 },
  },
  // A checkpoint that says its length in video frames.
  {
    host: { spatialFactor: 16, temporalFactor: 4, transformerConfig: { patch_size: 1, sample_n_frames: 97 } },
    ...{ numFrames: 129, height: 720, width: 1280 },
    ...{ latentFrames: 33, patchesPerFrame: 45 * 80, referenceLatentFrames: 25 },
  },
];
let device: Device;
let model: HunyuanVideo15Transformer3DModel;
let fixture: ConformanceFixture;

beforeAll(async () => {
  device = await testDevice();
  model = new HunyuanVideo15Transformer3DModel(device, readJson(join(checkpoint, "config.json")));
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  const module = model.attentionModules()[0]!;
  const width = module.heads * module.headDim;
  fixture = {
    device,
    adapter: createHunyuanAdapter(),
    model,
    layers: ["transformer.transformer_blocks.0.attn", "transformer.transformer_blocks.1.attn"],
    known: KNOWN,
    makeCall: (latentFrames, patchesPerFrame) => {
      const tokens = latentFrames * patchesPerFrame;
      const angles = seededNormal((tokens * module.headDim) / 2, 3);
      const table = (f: (x: number) => number) => device.upload(angles.map(f), [tokens, module.headDim / 2]);
      return {
        device,
        family: "hunyuan",
        module,
        hiddenStates: device.upload(seededNormal(tokens * width, 7), [1, tokens, width]),
        encoderHiddenStates: device.upload(seededNormal(TEXT_TOKENS * width, 8), [1, TEXT_TOKENS, width]),
        rotary: { cos: table(Math.cos), sin: table(Math.sin) },
        geometry: { latentFrames, patchesPerFrame, height: 2, width: patchesPerFrame / 2 },
      };
    },
    release: (call) => {
      const { hiddenStates, encoderHiddenStates, rotary } = call;
      for (const t of [hiddenStates, encoderHiddenStates, rotary?.cos, rotary?.sin]) t?.dispose();
    },
  };
});
afterAll(() => {
  model.dispose();
  device.dispose();
});

describe("Hunyuan adapter conformance", () => {
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
