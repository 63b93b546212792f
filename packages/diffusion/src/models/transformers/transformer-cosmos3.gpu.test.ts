import { type Device, encodeSafetensors, memoryFolder, openWeights, type WeightSource } from "@lvsa/runtime";
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { elementCount } from "../definition/parameter-list.js";
import type { Cosmos3Understanding } from "./cosmos3-understanding.js";
import { Cosmos3OmniTransformer } from "./transformer-cosmos3.js";
import { cosmos3Transformer } from "./transformer-cosmos3-definition.js";

const CONFIG = {
  hidden_size: 128,
  intermediate_size: 320,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  head_dim: 16,
  num_hidden_layers: 3,
  vocab_size: 90,
  latent_channel: 8,
  patch_latent_dim: 32,
  rope_axes_dim: [4, 2, 2],
};
const IDS = [4, 8, 15, 16, 23, 42];

let device: Device;
let source: WeightSource;
beforeAll(async () => {
  device = await testDevice();
  const entries = cosmos3Transformer.parameters(CONFIG).map(({ name, shape }, i) => {
    const isNorm = shape.length === 1 && name.includes("norm");
    const values = seededNormal(elementCount(shape), 100 + i).map(
      (x) => (isNorm ? 1 : 0.08) * (isNorm ? 1 + x / 8 : x),
    );
    const data = new Uint8Array(values.buffer);
    return [name, { dtype: "F32" as const, shape: [...shape], data }] as const;
  });
  const file = encodeSafetensors(Object.fromEntries(entries));
  source = await openWeights(memoryFolder({ "model.safetensors": file }), "model");
});
afterAll(() => device.dispose());

async function load(): Promise<Cosmos3OmniTransformer> {
  const model = new Cosmos3OmniTransformer(device, CONFIG);
  await model.load(source);
  return model;
}

async function velocity(
  model: Cosmos3OmniTransformer,
  understanding: Cosmos3Understanding,
  shape: number[],
  fps = 24,
): Promise<Float32Array> {
  const latents = device.upload(seededNormal(elementCount(shape), 9), shape);
  try {
    const output = await model.forward({ latents, timestep: 412, understanding, fps });
    const values = await device.read(output);
    output.dispose();
    return values;
  } finally {
    latents.dispose();
  }
}

/** Bytes that `load` reads. */
function generationBytes(weights: WeightSource): number {
  const names = weights.names().filter(cosmos3Transformer.isResident);
  return names.reduce((sum, name) => sum + weights.info(name).byteLength, 0);
}

describe("Cosmos3OmniTransformer", () => {
  test("keeps the video's half of the weights, and one layer of the text's while prompts are read", async () => {
    const before = device.memory().liveBytes;
    const model = await load();
    const resident = device.memory().liveBytes - before;
    // The timestep's embedding, which is wide beside layers this small, is the video's too.
    expect(generationBytes(source)).toBeLessThan(0.55 * source.totalBytes);
    // Buffers are rounded up, by an eighth at most.
    expect(resident).toBeGreaterThanOrEqual(generationBytes(source));
    expect(resident).toBeLessThan(1.13 * generationBytes(source));
    device.resetPeakMemory();
    const [understanding] = await model.understand(source, [IDS]);
    const layer = cosmos3Transformer
      .parameters(CONFIG)
      .filter(({ name }) => name.startsWith("layers.0.") && !cosmos3Transformer.isResident(name))
      .reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
    expect(device.memory().peakBytes - before - resident).toBeLessThan(1.5 * layer);
    understanding![Symbol.dispose]();
    model.dispose();
    expect(device.memory().liveBytes).toBe(before);
  });

  test("two prompts read at once equal each read alone", async () => {
    const model = await load();
    const both = await model.understand(source, [IDS, [7]]);
    const alone = await model.understand(source, [[7]]);
    const shape = [1, 8, 3, 4, 4];
    expect(await velocity(model, both[1]!, shape)).toEqual(await velocity(model, alone[0]!, shape));
    for (const one of [...both, ...alone]) one[Symbol.dispose]();
    model.dispose();
  });

  test("f16 between residual additions stays close to f32", async () => {
    const model = await load();
    const run = async () => {
      const [understanding] = await model.understand(source, [IDS]);
      const values = await velocity(model, understanding!, [1, 8, 5, 6, 4]);
      understanding![Symbol.dispose]();
      return values;
    };
    const exact = await run();
    model.computeDtype = "f16";
    const rounded = await run();
    // 11 bits of mantissa over three layers: measured 6e-4, bf16 would be eight times that.
    expect(relativeL2(rounded, exact)).toBeLessThan(2e-3);
    expect(relativeL2(rounded, exact)).toBeGreaterThan(1e-6);
    model.dispose();
  });

  test("frame rate and edges count", async () => {
    const model = await load();
    const [understanding] = await model.understand(source, [IDS]);
    const shape = [1, 8, 4, 5, 3];
    const slow = await velocity(model, understanding!, shape, 12);
    expect(slow).toHaveLength(elementCount(shape));
    expect(relativeL2(slow, await velocity(model, understanding!, shape))).toBeGreaterThan(1e-3);
    // A single frame is an image: its rate means nothing.
    const image = [1, 8, 1, 4, 4];
    expect(await velocity(model, understanding!, image, 12)).toEqual(
      await velocity(model, understanding!, image),
    );
    await expect(velocity(model, understanding!, [2, 8, 1, 4, 4])).rejects.toThrow(
      "latents must be [1, 8, T, h, w]",
    );
    understanding![Symbol.dispose]();
    model.dispose();
  });
});
