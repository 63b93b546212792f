import { join } from "node:path";
import { type AttentionCall, type AttentionResult, denseAttention } from "@lvsa/core";
import { adapterConformance, type ConformanceFixture } from "@lvsa/core/testing";
import { HunyuanVideo15Transformer3DModel } from "@lvsa/diffusion/hunyuan";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, test } from "vitest";
import { createHunyuanAdapter } from "./hunyuan-adapter.js";

const TEXT_TOKENS = 11;
const checkpoint = join(
  import.meta.dirname,
  "../../../fixtures/reference/hunyuan/pipeline/checkpoint/transformer",
);
let device: Device;
let model: HunyuanVideo15Transformer3DModel;
let fixture: ConformanceFixture<HunyuanVideo15Transformer3DModel, AttentionCall, AttentionResult>;

beforeAll(async () => {
  device = await testDevice();
  model = HunyuanVideo15Transformer3DModel.create(device, readJson(join(checkpoint, "config.json")));
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  const module = model.attentionModules()[0]!;
  const width = module.heads * module.headDim;
  fixture = {
    device,
    adapter: createHunyuanAdapter(),
    model,
    host: { spatialFactor: 16, temporalFactor: 4, transformerConfig: model.config },
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
    dense: (call) => denseAttention(call),
    dispatch: (call) => model.attention.run(call),
    tensors: (result) => [result.hiddenStates, result.encoderHiddenStates!],
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

// The list of checks does not depend on the fixture's contents; each runs on the real one.
const names = adapterConformance({} as never).map(({ name }) => name);
describe("HunyuanVideo adapter conformance", () => {
  test.each(names)("%s", async (name) => {
    await adapterConformance(fixture)
      .find((check) => check.name === name)!
      .run();
  });
});
