/** Each hook on a small transformer of a family, against the same computed without it. */
import { join } from "node:path";
import { createHunyuanAdapter } from "@lvsa/adapter-hunyuan";
import { createWanAdapter } from "@lvsa/adapter-wan";
import { type AttentionCall, identifyIntrinsicFrequency, installLvsa, riflexFrequencies } from "@lvsa/core";
import { HunyuanVideo15Transformer3DModel } from "@lvsa/diffusion/hunyuan";
import { WanTransformer3DModel } from "@lvsa/diffusion/wan";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RiflexHook } from "./riflex.js";
import { shardSequence } from "./shard-sequence.js";
import { textMask } from "./text-mask.js";

const root = join(import.meta.dirname, "../..");
/** The same f32 sums in another order; a wrong row or table gives above 1e-2. */
const ROUNDING = 2e-5;
const TEXT = 10;
/** 12 latent frames of 2 x 3 tokens. */
const FRAMES = 12;
let device: Device;
let wan: WanTransformer3DModel;
beforeAll(async () => {
  device = await testDevice();
  wan = await loaded(WanTransformer3DModel, "fixtures/tiny-wan/transformer");
});
afterAll(() => {
  wan.dispose();
  device.dispose();
});

async function loaded<Model extends { load(source: never): Promise<void> }>(
  type: new (device: Device, config: unknown) => Model,
  folder: string,
): Promise<Model> {
  const model = new type(device, readJson(join(root, folder, "config.json")));
  const source = await openWeights(nodeFolder(join(root, folder)), "diffusion_pytorch_model");
  await model.load(source as never);
  await source.close();
  return model;
}

/** One forward pass; `rows`: which text tokens there are; `timestep`: one, or one per token. */
async function flow(rows = Array.from({ length: TEXT }, (_, i) => i), timestep: number | number[] = 500) {
  const width = wan.config.text_dim;
  const all = seededNormal(TEXT * width, 2);
  const text = rows.flatMap((row) => [...all.subarray(row * width, (row + 1) * width)]);
  const latents = device.upload(seededNormal(16 * FRAMES * 4 * 6, 1), [1, 16, FRAMES, 4, 6]);
  const encoderHiddenStates = device.upload(text, [1, rows.length, width]);
  const step = { index: 0, count: 4, generation: 1 };
  const output = await wan.forward({ latents, timestep, encoderHiddenStates, step });
  const values = await device.read(output);
  for (const tensor of [latents, encoderHiddenStates, output]) tensor.dispose();
  return values;
}

const host = () => ({
  transformers: [wan],
  geometry: {
    spatialFactor: 8,
    temporalFactor: 4,
    referenceLatentFrames: 5,
    transformerConfig: { ...wan.config },
  },
});
const sparse = () =>
  installLvsa(host(), createWanAdapter(), {
    strict: true,
    config: { windowSize: 4, referenceLatentFrames: 5 },
  });

describe("the sequence in shards", () => {
  // 12 frames of 6 tokens: each of 8 ranks holds one frame and a half.
  test.each([2, 3, 8])("%i ranks one after another give what one does", async (worldSize) => {
    const one = await flow();
    let calls = 0;
    using _shards = wan.attention.addHook("shards", shardSequence({ worldSize }), 0);
    using _count = wan.attention.addHook(
      "count",
      (call, next) => {
        if (call.module.role === "self") {
          expect(call.hiddenStates.dim(1)).toBe(72 / worldSize);
          calls++;
        }
        return next(call);
      },
      1,
    );
    expect(relativeL2(await flow(), one)).toBeLessThan(ROUNDING);
    expect(calls).toBe(worldSize * wan.config.num_layers);
  });

  test("gates of single frames go with their rows", async () => {
    // The first frame is given, as in image to video.
    const timesteps = Array.from({ length: 72 }, (_, token) => (token < 6 ? 0 : 500));
    const one = await flow(undefined, timesteps);
    using _shards = wan.attention.addHook("shards", shardSequence({ worldSize: 3 }));
    expect(relativeL2(await flow(undefined, timesteps), one)).toBeLessThan(ROUNDING);
  });

  test("ranks that do not divide the tokens are refused", async () => {
    using _shards = wan.attention.addHook("shards", shardSequence({ worldSize: 5 }));
    await expect(flow()).rejects.toThrow(expect.objectContaining({ code: "NOT_DIVISIBLE" }));
  });

  test("sparse attention takes the gathered sequence, and equals that of one rank", async () => {
    using lvsa = sparse();
    const one = await flow();
    expect(lvsa.processor.pattern!.density).toBeLessThan(0.9);
    using _shards = wan.attention.addHook("shards", shardSequence({ worldSize: 4, attend: "whole" }));
    expect(relativeL2(await flow(), one)).toBeLessThan(ROUNDING);
  });

  test("sparse attention does not take a shard for a clip", async () => {
    using _lvsa = sparse();
    using _shards = wan.attention.addHook("shards", shardSequence({ worldSize: 4 }));
    await expect(flow()).rejects.toThrow(expect.objectContaining({ code: "DENSE_FALLBACK" }));
  });
});

describe("RIFLEx", () => {
  test("as a hook equals the change of the model's own tables, and leaves no trace", async () => {
    const { temporalDim } = wan;
    const settings = { temporalDim, scale: 2.5, trainingLength: 5 };
    const plain = await flow();
    const level = device.memory().liveBytes;
    const k = identifyIntrinsicFrequency(temporalDim, 5);
    wan.temporalFrequencies = () => riflexFrequencies({ ...settings, k });
    const expected = await flow();
    wan.temporalFrequencies = undefined;
    {
      using riflex = new RiflexHook(settings);
      using _hook = wan.attention.addHook("riflex", riflex.process);
      // To the bit: the tables are the same numbers.
      expect(await flow()).toEqual(expected);
    }
    expect(relativeL2(expected, plain)).toBeGreaterThan(1e-3);
    expect(await flow()).toEqual(plain);
    expect(device.memory().liveBytes).toBe(level);
  });

  test("goes with sparse attention and shards", async () => {
    using _lvsa = sparse();
    using riflex = new RiflexHook({ temporalDim: wan.temporalDim, scale: 2.5, trainingLength: 5 });
    using _hook = wan.attention.addHook("riflex", riflex.process, 0);
    const one = await flow();
    using _shards = wan.attention.addHook("shards", shardSequence({ worldSize: 2, attend: "whole" }), 1);
    expect(relativeL2(await flow(), one)).toBeLessThan(ROUNDING);
  });
});

describe("a text mask", () => {
  const mask = Uint8Array.of(1, 1, 0, 1, 1, 0, 0, 1, 1, 0);
  const rows = [...mask.keys()].filter((i) => mask[i]);

  test("hides tokens from cross attention as if they were not there", async () => {
    const expected = await flow(rows);
    using _mask = wan.attention.addHook("mask", textMask(mask));
    expect(relativeL2(await flow(), expected)).toBeLessThan(ROUNDING);
    expect(relativeL2(await flow(rows.concat(rows).slice(0, TEXT)), expected)).toBeGreaterThan(1e-3);
    await expect(flow(rows)).rejects.toThrow(expect.objectContaining({ code: "MASK_LENGTH" }));
  });

  test.each([false, true])("hides them from joint attention, sparse: %s", async (isSparse) => {
    const model = await loaded(
      HunyuanVideo15Transformer3DModel,
      "fixtures/reference/hunyuan/pipeline/checkpoint/transformer",
    );
    const module = model.attentionModules()[0]!;
    const width = module.heads * module.headDim;
    const geometry = { latentFrames: 6, patchesPerFrame: 4, height: 2, width: 2 };
    const all = seededNormal(TEXT * width, 8);
    const run = async (visible: readonly number[]) => {
      const text = visible.flatMap((row) => [...all.subarray(row * width, (row + 1) * width)]);
      const call: AttentionCall = {
        ...{ device, family: "hunyuan", module, geometry },
        hiddenStates: device.upload(seededNormal(24 * width, 7), [1, 24, width]),
        encoderHiddenStates: device.upload(text, [1, visible.length, width]),
      };
      const { hiddenStates, encoderHiddenStates } = model.attention.run(call);
      return { video: await device.read(hiddenStates), text: await device.read(encoderHiddenStates!) };
    };
    const facts = { spatialFactor: 16, temporalFactor: 4, referenceLatentFrames: 2, transformerConfig: {} };
    const config = { windowSize: 4, referenceLatentFrames: 2 };
    using lvsa = isSparse
      ? installLvsa({ transformers: [model], geometry: facts }, createHunyuanAdapter(), {
          strict: true,
          config,
        })
      : undefined;
    const expected = await run(rows);
    if (lvsa) expect(lvsa.processor.pattern!.isDense).toBe(false);
    using _mask = model.attention.addHook("mask", textMask(mask));
    const masked = await run([...mask.keys()]);
    expect(relativeL2(masked.video, expected.video)).toBeLessThan(ROUNDING);
    const visibleText = rows.flatMap((row) => [...masked.text.subarray(row * width, (row + 1) * width)]);
    expect(relativeL2(visibleText, expected.text)).toBeLessThan(ROUNDING);
    model.dispose();
  });
});
