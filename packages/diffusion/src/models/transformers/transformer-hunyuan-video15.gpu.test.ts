/** What the golden data do not show: f16 storage, misuse, and layers that another takes over. */
import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HunyuanVideo15Transformer3DModel } from "./transformer-hunyuan-video15.js";

const checkpoint = join(
  import.meta.dirname,
  "../../../../../fixtures/reference/hunyuan/pipeline/checkpoint/transformer",
);
let device: Device;
let model: HunyuanVideo15Transformer3DModel;
beforeAll(async () => {
  device = await testDevice();
  model = new HunyuanVideo15Transformer3DModel(device, readJson(join(checkpoint, "config.json")));
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
});
afterAll(() => {
  model.dispose();
  device.dispose();
});

const upload = (seed: number, shape: readonly number[]) =>
  device.upload(
    seededNormal(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    shape,
  );

async function forward(channels = 9): Promise<Float32Array> {
  using latents = upload(1, [1, channels, 5, 2, 3]);
  using text = upload(2, [1, 7, 40]);
  using glyph = upload(3, [1, 4, 28]);
  using out = await model.forward({
    latents,
    timestep: 500,
    encoderHiddenStates: text,
    encoderHiddenStates2: glyph,
  });
  return device.read(out);
}

test("f16 storage stays close to f32", async () => {
  const exact = await forward();
  model.computeDtype = "f16";
  const half = await forward();
  model.computeDtype = "f32";
  const error = relativeL2(half, exact);
  expect(error).toBeGreaterThan(0);
  // Each stored value is off by 2^-11 at most; a few dozen such roundings lie between input and output.
  expect(error).toBeLessThan(5e-3);
});

test("weights come and go without a trace", async () => {
  const before = await forward();
  model.unload();
  expect(device.memory().liveBytes).toBe(0);
  expect(model.isLoaded).toBe(false);
  const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
  await model.load(source);
  await source.close();
  expect(await forward()).toEqual(before);
});

test("latents without condition and mask channels are refused with what belongs there", async () => {
  await expect(forward(4)).rejects.toMatchObject({
    code: "SHAPE_MISMATCH",
    message: expect.stringContaining("[1, 9, T, h, w]"),
  });
});

test("a processor that loses the encoder stream is named", async () => {
  const [layer] = model.attentionModules();
  using _claim = model.attention.claim(layer!, "someone", (call, next) => {
    const { hiddenStates } = next(call);
    return { hiddenStates };
  });
  await expect(forward()).rejects.toMatchObject({
    code: "MISSING_STREAM",
    message: expect.stringContaining("transformer.transformer_blocks.0.attn"),
  });
});
