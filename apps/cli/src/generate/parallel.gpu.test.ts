/** LVSA on ranks that share a clip's frames: patterns of one device, and keys of the frames that they reach. */
import { type Collective, LocalCollective } from "@lvsa/core";
import { Engine, type GenerateOptions } from "@lvsa/diffusion";
import { type TinyCase, tinyCases } from "@lvsa/diffusion/testing-support/tiny-pipelines";
import { installFamily } from "@lvsa/hooks/families";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { relativeL2, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";

/**
 * Keys of frames that are apart in the clip lie side by side on a rank, so that sums of attention come in another order:
 * f32 rounding (6e-8) through the layers and steps of a tiny model.
 */
const ROUNDING = 1e-5;

let devices: Device[];
let cases: TinyCase[];
beforeAll(async () => {
  devices = await Promise.all([testDevice(), testDevice(), testDevice()]);
  cases = await tinyCases();
});
afterAll(() => {
  for (const device of devices) device.dispose();
});

interface Run {
  readonly latents: number[];
  readonly density: number;
  /** Bytes that this rank gave, and took. */
  readonly given: number;
  readonly taken: number;
}

async function generate(
  one: TinyCase,
  options: GenerateOptions,
  isSparse: boolean,
  collective?: Collective,
): Promise<Run> {
  const traffic = { given: 0, taken: 0 };
  const counted: Collective | undefined = collective && {
    rank: collective.rank,
    worldSize: collective.worldSize,
    allGather: async (bytes, wanted) => {
      const parts = await collective.allGather(bytes, wanted);
      traffic.given += bytes.byteLength;
      traffic.taken += parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
      return parts;
    },
  };
  using engine = await Engine.open(nodeFolder(one.opened.checkpoint), {
    ...{ device: devices[collective?.rank ?? 0]!, precision: "f32", registered: false },
    ...(counted ? { parallel: { context: counted } } : {}),
  });
  const { pipeline } = engine;
  const size = pipeline.videoSize(options);
  const clip = { ...size, ...pipeline.clip(size.numFrames, size.height, size.width) };
  const config = { windowSize: 4, nFirstFrames: 1, keyFrameInterval: 16, referenceLatentFrames: 3 };
  using sparse = isSparse
    ? await installFamily(pipeline, clip, {
        config,
        log: () => {},
      })
    : undefined;
  const { latents } = await engine.generate(options);
  return { latents: [...latents.data], density: sparse?.processor.pattern?.density ?? 1, ...traffic };
}

test.each(["wan", "hunyuan", "cogvideox", "cosmos3"])(
  "%s: three ranks make the clip of one",
  async (family) => {
    const one = cases.find((found) => found.family === family)!;
    const { initialLatents: _ofAnotherLength, ...settings } = one.options;
    const options = { prompt: "", ...settings, numFrames: 41, numInferenceSteps: 2, seed: 3 };
    const alone = await generate(one, options, true);
    expect(alone.density).toBeLessThan(0.9);
    const ranks = await LocalCollective.run(3, (collective) => generate(one, options, true, collective));
    for (const { latents, density } of ranks) {
      expect(density).toBe(alone.density);
      expect(relativeL2(latents, alone.latents)).toBeLessThan(ROUNDING);
      expect(latents).toEqual(ranks[0]!.latents);
    }
    const dense = await LocalCollective.run(3, (collective) => generate(one, options, false, collective));
    // It was the pattern that was computed, and not the whole clip.
    expect(relativeL2(dense[0]!.latents, alone.latents)).toBeGreaterThan(10 * ROUNDING);
    const isJoint = family === "hunyuan" || family === "cogvideox";
    // Where text asks too, it sees the keys of all frames.
    for (const [rank, { given, taken }] of ranks.entries()) {
      if (isJoint) expect([given, taken]).toEqual([dense[rank]!.given, dense[rank]!.taken]);
      else {
        expect(given).toBeLessThan(dense[rank]!.given);
        expect(taken).toBeLessThan(dense[rank]!.taken);
      }
    }
  },
);
