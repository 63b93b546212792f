import type { Device } from "@lvsa/runtime";
import { maxAbsolute, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RandomNumbers, randomWeights } from "../../rehearsal/random-weights.js";
import { Taps } from "../../testing-support/taps.js";
import { readFloats } from "../text-encoders/embedding-rows.js";
import { WanTransformer3DModel } from "./transformer-wan.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const WIDTH = 12;
const DIM = 24;
const ROWS = 5;
const CONFIG = {
  ...{ num_attention_heads: 2, attention_head_dim: 12, in_channels: 36, text_dim: 8, freq_dim: 16 },
  ...{ ffn_dim: 16, num_layers: 1, image_dim: WIDTH, added_kv_proj_dim: DIM, pos_embed_seq_len: 2 * ROWS },
};

/** Abramowitz and Stegun 7.1.26 is too coarse: the series of the error function, for small arguments. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
const gelu = (x: number) => (x / 2) * (1 + erf(x / Math.SQRT2));

function layerNorm(x: number[], weight: Float32Array, bias: Float32Array): number[] {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
  return x.map((v, i) => ((v - mean) / Math.sqrt(variance + 1e-5)) * weight[i]! + bias[i]!);
}

const linear = (x: number[], weight: Float32Array, bias: Float32Array) =>
  Array.from(bias, (b, o) => x.reduce((sum, v, i) => sum + v * weight[o * x.length + i]!, b));

it("joins the rows of a first and a last image, adds their positions, and projects them, as float64 does", async () => {
  const config = { className: "WanTransformer3DModel", config: CONFIG, storedDType: "f32" } as const;
  const source = randomWeights(config, new RandomNumbers());
  const model = new WanTransformer3DModel(device, CONFIG);
  await model.load(source);
  const values = Float32Array.from({ length: 2 * ROWS * WIDTH }, (_, i) => Math.sin(i * 1.7) * 2);
  using image = device.upload(values, [2, ROWS, WIDTH]);
  using latents = device.zeros([1, 36, 1, 2, 2]);
  using text = device.zeros([1, 512, 8]);
  const taps = new Taps(device);
  const forward = { latents, encoderHiddenStates: text, encoderHiddenStatesImage: image, timestep: 500 };
  (await model.forward({ ...forward, tap: taps.tap })).dispose();
  const projected = (await taps.read()).get("image_projected")!;

  const weight = (name: string) => readFloats(source, `condition_embedder.image_embedder.${name}`);
  const [positions, n1, b1, w0, a0, w2, a2, n2, b2] = (await Promise.all(
    [
      ...["pos_embed", "norm1.weight", "norm1.bias", "ff.net.0.proj.weight", "ff.net.0.proj.bias"],
      ...["ff.net.2.weight", "ff.net.2.bias", "norm2.weight", "norm2.bias"],
    ].map(weight),
  )) as [Float32Array, ...Float32Array[]];
  const expected = Array.from({ length: 2 * ROWS }, (_, row) => {
    const x = Array.from({ length: WIDTH }, (_, i) => values[row * WIDTH + i]! + positions[row * WIDTH + i]!);
    const inner = linear(layerNorm(x, n1!, b1!), w0!, a0!).map(gelu);
    return layerNorm(linear(inner, w2!, a2!), n2!, b2!);
  }).flat();
  expect(projected).toHaveLength(2 * ROWS * DIM);
  // Sums of a dozen float32 products, and two norms.
  expect(maxAbsolute(projected, expected)).toBeLessThan(2e-5);
  model.dispose();
  await source.close();
});
