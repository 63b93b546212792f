/** What each format costs: the error of a tiny transformer with quantized weights against the one in f32. */
import {
  type Device,
  encodeSafetensors,
  memorySource,
  openSafetensors,
  openWeightsFile,
  type WeightSource,
} from "@lvsa/runtime";
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WanTransformer3DModel } from "../../models/transformers/transformer-wan.js";
import { wanTransformer } from "../../models/transformers/transformer-wan-definition.js";
import { type QuantizedFormat, quantizedFile } from "./quantize-weights.js";

const CONFIG = { num_attention_heads: 2, ffn_dim: 512, num_layers: 2, text_dim: 256, freq_dim: 256 };

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

function original(): Promise<WeightSource> {
  const tensors = wanTransformer.parameters(CONFIG).map(({ name, shape }, index) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const data = seededNormal(count, index, 1 / Math.sqrt(shape[1] ?? 400)).map((v) =>
      /norm\w*\.weight$/.test(name) ? 1 + v : v,
    );
    return [name, { dtype: "F32" as const, shape, data }] as const;
  });
  return openSafetensors(memorySource(encodeSafetensors(Object.fromEntries(tensors)), "wan.safetensors"));
}

async function run(source: WeightSource): Promise<Float32Array> {
  const model = new WanTransformer3DModel(device, CONFIG);
  await model.load(source);
  const output = await model.forward({
    latents: device.upload(seededNormal(16 * 2 * 4 * 4, 1), [1, 16, 2, 4, 4]),
    timestep: 500,
    encoderHiddenStates: device.upload(seededNormal(10 * 256, 2), [1, 10, 256]),
  });
  const values = await device.read(output);
  output.dispose();
  model.dispose();
  return values;
}

/** Of one number: 8 bits hold 1/254 of the range, 4 bits 1/30, e4m3 three bits after the first. docs/formats.md states them. */
const FORMATS: readonly (readonly [QuantizedFormat, error: number, bytes: number])[] = [
  ["q8_0", 0.012, 0.3],
  ["q4_K", 0.15, 0.2],
  ["fp8", 0.06, 0.3],
];

test("errors of the output are those of the formats, and files are as small as they should be", async () => {
  const source = await original();
  const expected = await run(source);
  const errors: number[] = [];
  for (const [format, most, size] of FORMATS) {
    const file = quantizedFile(wanTransformer, CONFIG, source, format);
    const bytes = new Uint8Array(file.byteLength).fill(0xee);
    await file.write(async (chunk, at) => bytes.set(chunk, at));
    expect(file.byteLength / source.totalBytes, format).toBeLessThan(size);
    const opened = await openWeightsFile({ name: format, open: async () => memorySource(bytes, format) });
    expect(opened.names().sort()).toEqual(source.names().sort());
    const matrices = wanTransformer
      .parameters(CONFIG)
      .flatMap(({ name, isLinear }) => (isLinear ? [name] : []));
    expect([...file.quantized].sort()).toEqual(matrices.sort());
    expect(
      matrices.every((name) => opened.packed?.(name) !== undefined),
      format,
    ).toBe(true);
    const error = relativeL2(await run(opened), expected);
    console.log(
      `${format}: relative error ${error.toExponential(1)}, ${(file.byteLength / source.totalBytes).toFixed(3)} of the bytes`,
    );
    expect(error, format).toBeLessThan(most);
    errors.push(error);
    await opened.close();
  }
  // Fewer bits, more error: nothing was left in f32.
  expect(errors[0]!).toBeGreaterThan(1e-4);
  expect(errors[1]!).toBeGreaterThan(3 * errors[0]!);
  expect(errors[2]!).toBeGreaterThan(errors[0]!);
  await source.close();
});
