/**
 * Guidance as one batch of two: the numbers of two passes. Kernels work on rows that know nothing of each other and sum
 * each in the same order, however many there are, so that in f32 there is no difference to the last bit.
 */
import { type Device, UsageError } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { relativeL2, requireCases, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type WanForwardInputs, WanTransformer3DModel } from "../models/transformers/transformer-wan.js";
import { RandomNumbers, randomWeights } from "../rehearsal/random-weights.js";
import { PIPELINES, tinyCases } from "../testing-support/tiny-pipelines.js";
import type { GenerateOptions, HostTensor } from "./video-pipeline.js";

const cases = await tinyCases();

it("there are generations of every family to compare", () => {
  requireCases(cases, "generations from a prompt");
  expect(new Set(cases.map(({ family }) => family))).toEqual(new Set(Object.keys(PIPELINES)));
});

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

describe.each(cases)("$name", ({ family, opened, options }) => {
  const open = () =>
    PIPELINES[family].fromPretrained(nodeFolder(opened.checkpoint), { device, precision: "f32" });

  it("predicts with the prompt and the negative prompt what two passes predict, in half the passes", async () => {
    const pipeline = await open();
    const run = async (more: Partial<GenerateOptions>) => {
      const told = new Map<string, HostTensor>();
      // A block is done once in a pass.
      const progress = new Set<number>();
      const result = await pipeline.generate({
        // Texts of two lengths, one of them with a quote for glyphs.
        ...{ prompt: "", guidanceScale: 4, seed: 5, ...options },
        ...{ negativePrompt: 'A long text about nothing that says "no".', numInferenceSteps: 2 },
        ...more,
        onTensor: (name, tensor) => told.set(name, tensor),
        onStage: ({ stage, done }) => stage === "denoise" && progress.add(done),
      });
      return { told, result, steps: progress.size };
    };
    try {
      const two = await run({});
      const batch = await run({ guidanceBatch: true });
      expect([...batch.told.keys()].sort()).toEqual([...two.told.keys()].sort());
      expect(batch.told.has("step1.noise_uncond")).toBe(true);
      for (const [name, { data }] of two.told) expect(batch.told.get(name)!.data, name).toEqual(data);
      expect(batch.result.latents.data).toEqual(two.result.latents.data);
      const { told } = batch;
      expect(told.get("step0.noise_cond")!.data).not.toEqual(told.get("step0.noise_uncond")!.data);
      expect(batch.steps).toBeLessThan(two.steps);
      expect(two.result.settings.guidance_batch).toBe(false);
      expect(batch.result.settings.guidance_batch).toBe(true);
    } finally {
      pipeline.dispose();
    }
  });
});

it.each([
  ["one for all rows", 500],
  ["one for each frame", Array.from({ length: 3 * 4 }, (_, token) => (token < 4 ? 0 : 500))],
  ["one for each token", Array.from({ length: 3 * 4 }, (_, token) => 40 * token)],
])("timesteps modulate the rows of their own prediction: %s", async (_, timestep) => {
  const config = {
    ...{ num_attention_heads: 2, attention_head_dim: 12, in_channels: 4, out_channels: 4 },
    ...{ text_dim: 8, freq_dim: 16, ffn_dim: 16, num_layers: 2 },
  };
  const component = { className: "WanTransformer3DModel", config, storedDType: "f32" } as const;
  const model = new WanTransformer3DModel(device, config);
  await model.load(randomWeights(component, new RandomNumbers()));
  const upload = (shape: number[], seed: number) =>
    device.upload(
      seededNormal(
        shape.reduce((a, b) => a * b),
        seed,
      ),
      shape,
    );
  using latents = upload([1, 4, 3, 4, 4], 1);
  const texts = [upload([1, 5, 8], 2), upload([1, 9, 8], 3)] as const;
  const [first, second] = texts.map((encoderHiddenStates) => ({ encoderHiddenStates }));
  const predict = async (inputs: Pick<WanForwardInputs, "encoderHiddenStates" | "second">) => {
    using output = await model.forward({ latents, timestep, ...inputs });
    return [...(await device.read(output))];
  };
  try {
    const expected = [...(await predict(first!)), ...(await predict(second!))];
    // One frame or token more or less per pass may pick another kernel for few rows, which sums in another order.
    expect(relativeL2(await predict({ ...first!, second }), expected)).toBeLessThan(1e-6);
    expect(expected.slice(0, expected.length / 2)).not.toEqual(expected.slice(expected.length / 2));
  } finally {
    model.dispose();
    for (const text of texts) text.dispose();
  }
});

describe("an option that can not do what it says", () => {
  const [first] = cases;
  const { family, opened, options } = first!;
  const open = () =>
    PIPELINES[family].fromPretrained(nodeFolder(opened.checkpoint), { device, precision: "f32" });

  it("is noted where guidance is off", async () => {
    const pipeline = await open();
    try {
      const { notes, settings } = await pipeline.generate({
        ...{ prompt: "", ...options, negativePrompt: "", numInferenceSteps: 1 },
        ...{ guidanceScale: 1, guidanceBatch: true },
      });
      expect(notes).toContain("guidanceBatch had no effect: guidance is off with guidanceScale 1.");
      expect(settings.guidance_batch).toBeNull();
    } finally {
      pipeline.dispose();
    }
  });

  it("is refused with a step cache, which decides for each prediction by itself", async () => {
    const pipeline = await open();
    try {
      await expect(
        pipeline.generate({ prompt: "", ...options, guidanceBatch: true, stepCache: "easycache" }),
      ).rejects.toThrow("guidanceBatch and stepCache exclude each other");
      await expect(
        pipeline.generate({ prompt: "", ...options, guidanceBatch: "yes" as unknown as boolean }),
      ).rejects.toThrow(UsageError);
    } finally {
      pipeline.dispose();
    }
  });
});
