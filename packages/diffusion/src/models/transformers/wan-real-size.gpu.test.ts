import { decodeFloats, encodeFloats, encodeSafetensors, memorySource, openSafetensors } from "@lvsa/runtime";
import { relativeL2, seededUniform, testDevice } from "@lvsa/runtime/testing";
import { expect, test } from "vitest";
import { getModelClass } from "../../catalog.js";
import { Taps } from "../../testing-support/taps.js";
import { WanTransformer3DModel } from "./transformer-wan.js";
import { wanBlockReference } from "./wan-block.reference.js";

// Wan 2.1 1.3B with one of its thirty blocks.
const config = {
  num_attention_heads: 12,
  attention_head_dim: 128,
  ffn_dim: 8960,
  num_layers: 1,
  in_channels: 16,
  out_channels: 16,
  text_dim: 4096,
  freq_dim: 256,
};
const [frames, height, width, textRows] = [2, 4, 6, 7];

test("a Wan 1.3B block with random bf16 weights equals float64 on the CPU", async () => {
  const device = await testDevice();
  const modelClass = getModelClass("WanTransformer3DModel");
  const uniform = seededUniform(11);
  const stored = new Map<string, Uint8Array>();
  const tensors = Object.fromEntries(
    modelClass.parameters(modelClass.parseConfig(config)).map(({ name, shape }) => {
      const count = shape.reduce((a, n) => a * n, 1);
      const fanIn = shape.length > 1 ? count / shape[0]! : 1;
      // Norm weights around one; the rest scaled so that activations keep their size.
      const isNorm = /norm.*weight$/.test(name);
      const scale = isNorm ? 0.2 : fanIn > 1 ? Math.sqrt(3 / fanIn) : 0.1;
      const values = Float32Array.from(
        { length: count },
        () => (isNorm ? 1 : 0) + scale * (2 * uniform() - 1),
      );
      const data = encodeFloats(values, "bf16");
      stored.set(name, data);
      return [name, { dtype: "BF16" as const, shape, data }];
    }),
  );
  const source = await openSafetensors(memorySource(encodeSafetensors(tensors)));
  const model = new WanTransformer3DModel(device, config);
  await model.load(source);
  await source.close();

  const random = (count: number) => Float32Array.from({ length: count }, () => 2 * uniform() - 1);
  const latents = device.upload(random(16 * frames * height * width), [1, 16, frames, height, width]);
  const text = device.upload(random(textRows * config.text_dim), [1, textRows, config.text_dim]);
  const taps = new Taps(device);
  (await model.forward({ latents, timestep: 500, encoderHiddenStates: text, tap: taps.tap })).dispose();
  const kept = await taps.read();
  const dim = config.num_attention_heads * config.attention_head_dim;
  const expected = wanBlockReference(
    {
      tokens: (frames * height * width) / 4,
      textRows,
      dim,
      heads: config.num_attention_heads,
      eps: 1e-6,
      weight: (name) => decodeFloats(stored.get(`blocks.0.${name}`)!, "bf16"),
      cos: kept.get("rope_cos")!,
      sin: kept.get("rope_sin")!,
    },
    kept.get("patch_embedded")!,
    kept.get("time_proj")!,
    kept.get("text_projected")!,
  );
  const error = relativeL2(kept.get("block0")!, expected);
  console.log(`Wan 1.3B block: relative L2 ${error.toExponential(1)} against float64`);
  // f32 sums of up to 8960 terms: 3e-7 where this was written; another order of sums may double it a few times.
  expect(error).toBeLessThan(3e-6);
  for (const t of [latents, text]) t.dispose();
  model.dispose();
  expect(device.memory().liveBytes).toBe(0);
  device.dispose();
});
