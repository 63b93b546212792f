/** A model from a quantized file: what it takes in GPU memory, and what it computes. */
import { type Device, memorySource, type WeightSource } from "@lvsa/runtime";
import { encodeGguf, openGguf } from "@lvsa/runtime/gguf";
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getKnownModel } from "../catalog/known-models.js";
import { rehearseMemory } from "../rehearsal/rehearse-memory.js";
import { WanTransformer3DModel } from "./transformers/transformer-wan.js";
import { wanTransformer } from "./transformers/transformer-wan-definition.js";

const CONFIG = { num_attention_heads: 2, ffn_dim: 512, num_layers: 2, text_dim: 256, freq_dim: 256 };

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Q8_0 with scales of about 2^-9 for the matrices, f32 for all else. */
function quantized(): Uint8Array {
  const tensors = wanTransformer.parameters(CONFIG).map(({ name, shape, isLinear }, index) => {
    const count = shape.reduce((a, b) => a * b, 1);
    if (!isLinear) {
      const data = seededNormal(count, index, 0.05).map((v) => (/norm/.test(name) ? 1 + v : v));
      return [name, { type: "F32" as const, shape, data }] as const;
    }
    const data = new Uint8Array((count / 32) * 34).map((_, i) => (i * 89 + (i >> 5) * 13 + index) & 0xff);
    for (let block = 0; block < count / 32; block++) data.set([block & 0xff, 0x10], block * 34);
    return [name, { type: "Q8_0" as const, shape, data }] as const;
  });
  return encodeGguf(Object.fromEntries(tensors));
}

/** The same numbers, and no way to keep them quantized. */
function asFloats(source: WeightSource): WeightSource {
  return {
    names: () => source.names(),
    has: (name) => source.has(name),
    info: (name) => source.info(name),
    read: (name, range) => source.read(name, range),
    stream: (...args) => source.stream(...args),
    withPrefix: (prefix) => source.withPrefix(prefix),
    close: () => source.close(),
    ...{ totalBytes: source.totalBytes, parameterCount: source.parameterCount, metadata: {} },
  };
}

async function run(source: WeightSource): Promise<{ bytes: number; values: Float32Array }> {
  const before = device.memory().liveBytes;
  const model = new WanTransformer3DModel(device, CONFIG);
  await model.load(source);
  const bytes = device.memory().liveBytes - before;
  const [latents, text] = [seededNormal(16 * 2 * 4 * 4, 1), seededNormal(10 * 256, 2)];
  const output = await model.forward({
    latents: device.upload(latents, [1, 16, 2, 4, 4]),
    timestep: 500,
    encoderHiddenStates: device.upload(text, [1, 10, 256]),
  });
  const values = await device.read(output);
  output.dispose();
  model.dispose();
  return { bytes, values };
}

test("a quantized transformer takes its quantized bytes, and computes what its numbers compute", async () => {
  const source = await openGguf(memorySource(quantized(), "wan.gguf"));
  const packed = await run(source);
  const floats = await run(asFloats(source));
  let [matrices, others] = [0, 0];
  for (const { shape, isLinear } of wanTransformer.parameters(CONFIG)) {
    const count = shape.reduce((a, b) => a * b, 1);
    if (isLinear) matrices += count;
    else others += count;
  }
  // 68 bytes for 64 numbers; all else is f32, in buffers of whole 16 bytes.
  expect(packed.bytes - (matrices * 68) / 64 - others * 4).toBeLessThan(2000);
  expect(floats.bytes / packed.bytes).toBeGreaterThan(3.3);
  expect(packed.values.every(Number.isFinite)).toBe(true);
  // The same numbers in the same kernels.
  expect(relativeL2(packed.values, floats.values)).toBeLessThan(1e-6);
  await source.close();
});

test("the plan counts weights that stay quantized", async () => {
  const model = getKnownModel("wan2.1-t2v-1.3b");
  const transformer = model.components.transformer!;
  const clip = { numFrames: 17, height: 480, width: 832, guidanceScale: 1, precision: "f32" as const };
  const denoising = async (packedDType?: "q4_k") => {
    const components = {
      ...model.components,
      transformer: { ...transformer, ...(packedDType ? { packedDType } : {}) },
    };
    const plan = await rehearseMemory({ model: { ...model, components }, ...clip });
    return plan.phases.find(({ name }) => name === "denoising")!.bytes;
  };
  // 1.42 billion numbers: 4 bytes each, or 0.5625 for those of the layers.
  const saved = (await denoising()) - (await denoising("q4_k"));
  expect(saved).toBeGreaterThan(1.35e9 * (4 - 0.5625));
  expect(saved).toBeLessThan(1.45e9 * (4 - 0.5625));
});
