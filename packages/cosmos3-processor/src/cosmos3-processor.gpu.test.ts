import { join } from "node:path";
import type { FallbackEvent } from "@lvsa/core";
import { Cosmos3OmniTransformer, type Cosmos3Understanding } from "@lvsa/diffusion/cosmos3";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Cosmos3LvsaOptions, installCosmos3Lvsa } from "./install-cosmos3-lvsa.js";

/** Two orders of the same f32 sums: 4e-7 against the golden data; ten times that is still far below any wrong pattern (above 1e-2). */
const ROUNDING = 4e-6;
const FRAMES = 12;
const IDS = [3, 14, 15, 9, 26, 5];
const HEIGHT = 64;
const WIDTH = 48;
const reference = join(import.meta.dirname, "../../../fixtures/reference/cosmos3");

interface Model {
  readonly transformer: Cosmos3OmniTransformer;
  understand(ids: readonly number[]): Promise<Cosmos3Understanding>;
  velocity(
    understanding: Cosmos3Understanding,
    frames?: number,
    step?: number,
    conditionFrames?: readonly number[],
  ): Promise<Float32Array>;
  dispose(): Promise<void>;
}

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

async function open(name: string): Promise<Model> {
  const folder = join(reference, name, "checkpoint/transformer");
  const transformer = new Cosmos3OmniTransformer(device, readJson(join(folder, "config.json")));
  const source = await openWeights(nodeFolder(folder), "diffusion_pytorch_model");
  await transformer.load(source);
  return {
    transformer,
    understand: async (ids) => (await transformer.understand(source, [ids]))[0]!,
    velocity: async (understanding, frames = FRAMES, index = 0, conditionFrames = []) => {
      const shape = [1, transformer.config.latent_channel, frames, HEIGHT / 16, WIDTH / 16];
      const latents = device.upload(
        seededNormal(
          shape.reduce((a, b) => a * b),
          5,
        ),
        shape,
      );
      const step = { index, count: 8, generation: 1 };
      const output = await transformer.forward({
        ...{ latents, timestep: 700, understanding, step, conditionFrames },
      });
      latents.dispose();
      const values = await device.read(output);
      output.dispose();
      return values;
    },
    dispose: async () => {
      await source.close();
      transformer.dispose();
    },
  };
}

const clip = (frames = FRAMES) => ({ numFrames: 4 * frames - 3, height: HEIGHT, width: WIDTH });
const sparse: Partial<Cosmos3LvsaOptions> = {
  referenceLatentFrames: 5,
  config: { windowSize: 4, nFirstFrames: 4 },
};

/** Keys and values of all layers. */
async function bytesOf({ transformer }: Model, understanding: Cosmos3Understanding): Promise<string> {
  const parts: string[] = [];
  for (let i = 0; i < transformer.config.num_hidden_layers; i++) {
    const { key, value } = understanding.layer(i)!;
    for (const tensor of [key, value])
      parts.push(Buffer.from(await device.readBytes(tensor)).toString("hex"));
  }
  return parts.join();
}

describe.each(["transformer", "transformer_nemotron"])("%s", (name) => {
  test("equals dense at the training length, differs above it, and leaves no trace", async () => {
    const before = device.memory().liveBytes;
    const model = await open(name);
    const understanding = await model.understand(IDS);
    const dense = await model.velocity(understanding);

    const same = installCosmos3Lvsa(model.transformer, { ...clip(), referenceLatentFrames: FRAMES });
    expect(relativeL2(await model.velocity(understanding), dense)).toBeLessThan(ROUNDING);
    same[Symbol.dispose]();

    const installed = installCosmos3Lvsa(model.transformer, { ...clip(), ...sparse });
    const first = await model.velocity(understanding);
    expect(relativeL2(first, dense)).toBeGreaterThan(1e-3);
    // Keyframes rotate with the step, and come back with it.
    expect(relativeL2(await model.velocity(understanding, FRAMES, 1), first)).toBeGreaterThan(1e-4);
    expect(await model.velocity(understanding, FRAMES, 0)).toEqual(first);
    installed[Symbol.dispose]();

    expect(await model.velocity(understanding)).toEqual(dense);
    understanding[Symbol.dispose]();
    await model.dispose();
    expect(device.memory().liveBytes).toBe(before);
  });

  test("the understanding stream is the same to the byte, and every prompt has its own", async () => {
    const model = await open(name);
    const dense = await model.understand(IDS);
    const installed = installCosmos3Lvsa(model.transformer, { ...clip(), ...sparse });
    const under = await model.understand(IDS);
    const whole = await bytesOf(model, dense);
    expect(await bytesOf(model, under)).toBe(whole);
    // Many steps later too: nothing writes to it.
    const once = await model.velocity(under, FRAMES, 0);
    await model.velocity(under, FRAMES, 1);
    expect(await bytesOf(model, under)).toBe(whole);
    const other = await model.understand([7, ...IDS]);
    expect(relativeL2(await model.velocity(other), once)).toBeGreaterThan(1e-4);
    expect(await model.velocity(under, FRAMES, 0)).toEqual(once);
    for (const one of [installed, dense, under, other]) one[Symbol.dispose]();
    await model.dispose();
  });
});

describe("Cosmos3LvsaProcessor", () => {
  test("another length is an error, or dense and reported where that is allowed", async () => {
    const model = await open("transformer");
    const understanding = await model.understand(IDS);
    const dense = await model.velocity(understanding, 7);
    const installed = installCosmos3Lvsa(model.transformer, { ...clip(), ...sparse });
    await expect(model.velocity(understanding, 7)).rejects.toThrow(
      "28 video tokens (7 latent frames of 4); LVSA was installed for 12 latent frames of 4 tokens = 48",
    );
    installed[Symbol.dispose]();

    const events: FallbackEvent[] = [];
    const lines: string[] = [];
    const lenient = installCosmos3Lvsa(model.transformer, {
      ...clip(),
      ...sparse,
      strict: false,
      onFallback: (event) => events.push(event),
      log: (line) => lines.push(line),
    });
    expect(await model.velocity(understanding, 7)).toEqual(dense);
    expect(events).toHaveLength(model.transformer.config.num_hidden_layers);
    expect(events[0]).toMatchObject({ origin: "cosmos3", reason: "geometry_mismatch", sequenceLength: 28 });
    expect(lines.filter((line) => line.startsWith("[LVSA-FALLBACK]"))).toHaveLength(1);
    lenient[Symbol.dispose]();
    understanding[Symbol.dispose]();
    await model.dispose();
  });

  test("frames whose content is given are global, from call to call", async () => {
    const model = await open("transformer");
    const understanding = await model.understand(IDS);
    const seen: (readonly number[])[] = [];
    const installed = installCosmos3Lvsa(model.transformer, {
      ...clip(),
      ...sparse,
      onPattern: (pattern) => seen.push(pattern.conditionFrames),
    });
    const plain = await model.velocity(understanding);
    const free = Array.from({ length: FRAMES }, (_, f) => f).filter(
      (f) => !installed.processor.pattern.isGlobal(f),
    );
    const given = [free[0]!, free.at(-1)!];
    expect(relativeL2(await model.velocity(understanding, FRAMES, 0, given), plain)).toBeGreaterThan(1e-4);
    expect(await model.velocity(understanding)).toEqual(plain);
    expect(seen).toEqual([[], given, []]);
    for (const one of [installed, understanding]) one[Symbol.dispose]();
    await model.dispose();
  });

  test("a schedule keeps steps dense, to the bit", async () => {
    const model = await open("transformer");
    const understanding = await model.understand(IDS);
    const dense = await model.velocity(understanding);
    const seen = new Set<number>();
    const lines: string[] = [];
    const schedule = [{ steps: [0, 1] as [number, number], attention: "dense" as const }];
    const installed = installCosmos3Lvsa(model.transformer, {
      ...{
        ...clip(),
        ...sparse,
        config: { ...sparse.config, schedule: [...schedule, { steps: [8, 9], attention: "dense" }] },
      },
      onScheduledDense: ({ step }) => seen.add(step),
      onNotice: (text) => lines.push(text),
    });
    expect(await model.velocity(understanding, FRAMES, 1)).toEqual(dense);
    expect(relativeL2(await model.velocity(understanding, FRAMES, 2), dense)).toBeGreaterThan(1e-3);
    expect([...seen]).toEqual([1]);
    expect(lines).toEqual(["the schedule's steps 8-9 reach beyond the 8 steps of this generation"]);
    for (const one of [installed, understanding]) one[Symbol.dispose]();
    await model.dispose();
  });

  test("a batch of more than one is an error", async () => {
    const model = await open("transformer");
    const installed = installCosmos3Lvsa(model.transformer, { ...clip(), ...sparse });
    const module = model.transformer.attentionModules().find((layer) => layer.role === "self")!;
    const hiddenStates = device.zeros([2, 48, model.transformer.config.hidden_size]);
    const run = () => model.transformer.attention.run({ device, family: "cosmos3", module, hiddenStates });
    expect(run).toThrow(expect.objectContaining({ code: "BATCH_UNSUPPORTED" }));
    hiddenStates.dispose();
    installed[Symbol.dispose]();
    await model.dispose();
  });

  test("a disposed prompt is an error", async () => {
    const model = await open("transformer");
    const understanding = await model.understand(IDS);
    understanding[Symbol.dispose]();
    await expect(model.velocity(understanding)).rejects.toThrow("no keys and values for layer 0");
    await model.dispose();
  });
});
