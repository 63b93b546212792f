/** What the golden data do not show: f16 storage, weights that come and go, and sizes the model has no place for. */
import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CogVideoXTransformer3DModel } from "./transformer-cogvideox.js";

const fixtures = join(import.meta.dirname, "../../../../../fixtures/reference/cogvideox");
const models = [
  { name: "2B", folder: "transformer_2b", frames: 3, textDim: 24, height: 4, width: 6 },
  { name: "5B", folder: "pipeline", frames: 3, textDim: 32, height: 4, width: 6 },
  { name: "1.5", folder: "denoise_15", frames: 4, textDim: 24, height: 4, width: 6 },
];
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

describe.each(models)("$name", ({ folder, frames, textDim, height, width }) => {
  const checkpoint = join(fixtures, folder, "checkpoint/transformer");
  let model: CogVideoXTransformer3DModel;
  const load = async () => {
    const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
    await model.load(source);
    await source.close();
  };
  beforeAll(async () => {
    model = new CogVideoXTransformer3DModel(device, readJson(join(checkpoint, "config.json")));
    await load();
  });
  afterAll(() => model.dispose());

  async function forward(shape = [1, frames, 4, height, width]): Promise<Float32Array> {
    const upload = (seed: number, size: number[]) =>
      device.upload(
        seededNormal(
          size.reduce((a, b) => a * b, 1),
          seed,
        ),
        size,
      );
    using latents = upload(1, shape);
    using text = upload(2, [1, 7, textDim]);
    using out = await model.forward({ latents, timestep: 500, encoderHiddenStates: text });
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
    await load();
    expect(await forward()).toEqual(before);
  });

  test("latents with other channels are refused with what belongs there", async () => {
    await expect(forward([1, frames, 5, height, width])).rejects.toMatchObject({
      code: "SHAPE_MISMATCH",
      message: expect.stringContaining("[1, T, 4, h, w]"),
    });
  });
});

test("1.5 has no positions beyond its base size, and says so", async () => {
  const config = readJson<Record<string, unknown>>(
    join(fixtures, "denoise_15/checkpoint/transformer/config.json"),
  );
  const model = new CogVideoXTransformer3DModel(device, { ...config, sample_width: 4 });
  using latents = device.zeros([1, 4, 4, 4, 6]);
  using text = device.zeros([1, 7, 24]);
  await expect(model.forward({ latents, timestep: 500, encoderHiddenStates: text })).rejects.toMatchObject({
    code: "BAD_SIZE",
  });
});
