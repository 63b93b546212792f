import { join } from "node:path";
import {
  adapterConformance,
  type ConformanceFixture,
  conformanceChecks,
  type KnownClip,
} from "@lvsa/core/testing";
import { runMutants } from "@lvsa/core/testing/adapter-mutants";
import { CogVideoXTransformer3DModel } from "@lvsa/diffusion/cogvideox";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCogVideoXAdapter } from "./cogvideox-adapter.js";

const TEXT_TOKENS = 11;
const checkpoint = join(
  import.meta.dirname,
  "../../../fixtures/reference/cogvideox/pipeline/checkpoint/transformer",
);
/** From the published checkpoints of 5B, and of 1.5, which joins two latent frames. */
const KNOWN: readonly KnownClip[] = [
  {
    host: { spatialFactor: 8, temporalFactor: 4, transformerConfig: { patch_size: 2, sample_frames: 49 } },
    ...{ numFrames: 49, height: 480, width: 720 },
    ...{ latentFrames: 13, patchesPerFrame: 30 * 45, referenceLatentFrames: 13 },
  },
  {
    host: {
      spatialFactor: 8,
      temporalFactor: 4,
      transformerConfig: { patch_size: 2, patch_size_t: 2, sample_frames: 81 },
    },
    ...{ numFrames: 161, height: 768, width: 1360 },
    ...{ latentFrames: 21, patchesPerFrame: 48 * 85, referenceLatentFrames: 11 },
  },
  // Where the checkpoint does not say, the length of 2B and 5B.
  {
    host: { spatialFactor: 8, temporalFactor: 4, transformerConfig: { patch_size: 2 } },
    ...{ numFrames: 49, height: 480, width: 720 },
    ...{ latentFrames: 13, patchesPerFrame: 30 * 45, referenceLatentFrames: 13 },
  },
];
let device: Device;
let model: CogVideoXTransformer3DModel;
let fixture: ConformanceFixture;

beforeAll(async () => {
  device = await testDevice();
  model = new CogVideoXTransformer3DModel(device, readJson(join(checkpoint, "config.json")));
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  const module = model.attentionModules()[0]!;
  const width = module.heads * module.headDim;
  fixture = {
    device,
    adapter: createCogVideoXAdapter(),
    model,
    layers: ["transformer.transformer_blocks.0.attn1", "transformer.transformer_blocks.1.attn1"],
    known: KNOWN,
    makeCall: (latentFrames, patchesPerFrame) => {
      const tokens = latentFrames * patchesPerFrame;
      const angles = seededNormal((tokens * module.headDim) / 2, 3);
      const table = (f: (x: number) => number) => device.upload(angles.map(f), [tokens, module.headDim / 2]);
      return {
        device,
        family: "cogvideox",
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

describe("CogVideoX adapter conformance", () => {
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
