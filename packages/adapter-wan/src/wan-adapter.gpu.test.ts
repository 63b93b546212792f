import { join } from "node:path";
import { type AttentionCall, type AttentionResult, denseAttention } from "@lvsa/core";
import { adapterConformance, type ConformanceFixture } from "@lvsa/core/testing";
import { WanTransformer3DModel } from "@lvsa/diffusion/wan";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, test } from "vitest";
import { createWanAdapter } from "./wan-adapter.js";

const checkpoint = join(import.meta.dirname, "../../../apps/cli/models/tiny-wan/transformer");
let device: Device;
let fixture: ConformanceFixture<WanTransformer3DModel, AttentionCall, AttentionResult>;
const extra: { [Symbol.dispose](): void }[] = [];

beforeAll(async () => {
  device = await testDevice();
  const model = WanTransformer3DModel.create(device, readJson(join(checkpoint, "config.json")));
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  const module = model.attentionModules()[0]!;
  const width = module.heads * module.headDim;
  fixture = {
    device,
    adapter: createWanAdapter(),
    model,
    host: { spatialFactor: 8, temporalFactor: 4, transformerConfig: model.config },
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
    dense: (call) => denseAttention(call),
    dispatch: (call) => model.attention.run(call),
    tensors: (result) => [result.hiddenStates],
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

// The list of checks does not depend on the fixture's contents; each runs on the real one.
const names = adapterConformance({} as never).map(({ name }) => name);
describe("Wan adapter conformance", () => {
  test.each(names)("%s", async (name) => {
    await adapterConformance(fixture)
      .find((check) => check.name === name)!
      .run();
  });
});
