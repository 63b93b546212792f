/** Wan 2.2 A14B: two transformers, one for the noisy steps and one for the others. */
import { join } from "node:path";
import { type AttentionPattern, type InstallLvsaOptions, installLvsa } from "@lvsa/core";
import { WanTransformer3DModel } from "@lvsa/diffusion/wan";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWanAdapter } from "./wan-adapter.js";

const checkpoint = join(import.meta.dirname, "../../../fixtures/tiny-wan/transformer");
const FRAMES = 12;
const STEPS = 4;
let device: Device;
let experts: readonly WanTransformer3DModel[];

beforeAll(async () => {
  device = await testDevice();
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  experts = ["transformer", "transformer_2"].map(
    (name) => new WanTransformer3DModel(device, readJson(join(checkpoint, "config.json")), { name }),
  );
  for (const expert of experts) await expert.load(source);
  await source.close();
});
afterAll(() => {
  for (const expert of experts) expert.dispose();
  device.dispose();
});

/** Four steps, the first two by the first transformer. */
async function run(generation: number, conditionFrames: readonly number[] = []): Promise<Float32Array[]> {
  const outputs: Float32Array[] = [];
  for (let index = 0; index < STEPS; index++) {
    const expert = experts[index < 2 ? 0 : 1]!;
    const { in_channels: channels, text_dim: width } = expert.config;
    using latents = device.upload(seededNormal(channels * FRAMES * 24, 1), [1, channels, FRAMES, 4, 6]);
    using encoderHiddenStates = device.upload(seededNormal(5 * width, 2), [1, 5, width]);
    const step = { index, count: STEPS, generation };
    using output = await expert.forward({
      ...{ latents, timestep: 900 - 200 * index, encoderHiddenStates, step, conditionFrames },
    });
    outputs.push(await device.read(output));
  }
  return outputs;
}

function install(options: InstallLvsaOptions) {
  const geometry = { spatialFactor: 8, temporalFactor: 4, referenceLatentFrames: 5, transformerConfig: {} };
  return installLvsa({ transformers: experts, geometry }, createWanAdapter(), { strict: true, ...options });
}

test("both transformers run sparse, with the keyframes of the step that the host tells", async () => {
  const dense = await run(1);
  const patterns = new Map<number, AttentionPattern>();
  let calls = 0;
  using lvsa = install({
    config: { windowSize: 4 },
    onCall: ({ step, pattern }) => {
      patterns.set(step, pattern);
      calls++;
    },
  });
  const sparse = await run(2);
  const layers = experts[0]!.config.num_layers;
  expect([lvsa.blocks, calls]).toEqual([2 * layers, STEPS * layers]);
  for (const [step, output] of sparse.entries()) {
    expect(relativeL2(output, dense[step]!), `step ${step}`).toBeGreaterThan(1e-3);
    const { rotationOffset, keyframeInterval } = patterns.get(step)!;
    expect(rotationOffset).toBe(step % keyframeInterval!);
  }
});

test("a schedule counts the steps of both, and condition frames are global in both", async () => {
  const dense = await run(1, [0, 11]);
  const seen = new Map<number, readonly number[]>();
  using _lvsa = install({
    config: { windowSize: 4, schedule: [{ steps: [1, 2], attention: "dense" }] },
    onCall: ({ step, pattern }) => seen.set(step, pattern.globalFrames),
  });
  const mixed = await run(2, [0, 11]);
  const equal = mixed.map((output, step) => relativeL2(output, dense[step]!) === 0);
  expect(equal).toEqual([false, true, true, false]);
  expect([...seen.keys()]).toEqual([0, 3]);
  for (const frames of seen.values()) expect(frames).toEqual(expect.arrayContaining([0, 11]));
});
