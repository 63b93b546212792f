/** `vaeTiling` of engines, of every family: what it changes, what it says, and where it changes nothing. */
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { Engine, type EngineOptions } from "../engine/engine.js";
import { engineFamilies } from "../testing-support/engine-families.js";
import type { GenerateOptions, StageReport } from "./video-pipeline.js";

const clip: GenerateOptions = {
  ...{ prompt: "A cat.", numFrames: 9, height: 32, width: 48 },
  ...{ numInferenceSteps: 1, seed: 3, guidanceScale: 1 },
};

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds whole checkpoints", () => {
  requireCases(engineFamilies);
});

async function bytesOf(frames: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const frame of frames) all.push(frame);
  return all;
}

describe.each(engineFamilies)("$name", ({ directory }) => {
  const open = (options: Partial<EngineOptions> = {}) =>
    Engine.open(nodeFolder(directory), { device, precision: "f32", registered: false, ...options });

  it("decodes through tiles, says so, and tells how far it is", async () => {
    using plain = await open();
    const whole = await plain.generate(clip);
    const wholeFrames = await bytesOf(whole.frames);
    expect(whole.settings.vae_tiling).toBeNull();

    // 16 x 16 pixels, or 32 x 32 where a latent cell has 16.
    const { spatialFactor } = plain.pipeline.geometry;
    const [tile, stride] = [2 * spatialFactor, spatialFactor];
    const vaeTiling = {
      ...{ tileSampleMinHeight: tile, tileSampleMinWidth: tile },
      ...{ tileSampleStrideHeight: stride, tileSampleStrideWidth: stride },
    };
    using engine = await open({ vaeTiling });
    const decoding: StageReport[] = [];
    const onStage = (report: StageReport) => void (report.stage === "decode" && decoding.push(report));
    const tiled = await engine.generate({ ...clip, onStage });
    expect(tiled.latents).toEqual(whole.latents);
    const text = `${tile}x${tile}, stride ${stride}x${stride}`;
    expect(tiled.settings).toEqual({ ...whole.settings, vae_tiling: text });
    expect(tiled.notes.join()).not.toContain("vaeTiling");
    const frames = await bytesOf(tiled.frames);
    expect(frames).toHaveLength(tiled.frameCount);
    expect(frames).not.toEqual(wholeFrames);
    const tiles = (clip.height! / stride) * (clip.width! / stride);
    const total = tiles * tiled.frameCount;
    expect(decoding.map(({ done }) => done)).toEqual(Array.from({ length: total }, (_, i) => i + 1));
    expect(new Set(decoding.map((report) => report.total))).toEqual(new Set([total]));

    const { latents } = tiled;
    const again = await engine.decode({ latents, numFrames: 9, height: 32, width: 48 });
    expect(again.settings).toEqual({ vae_tiling: text });
    expect(await bytesOf(again.frames)).toEqual(frames);
  });

  it("is the whole decoder, byte for byte, where a tile has the picture, and says so", async () => {
    using plain = await open();
    const whole = await bytesOf((await plain.generate(clip)).frames);
    using engine = await open({ vaeTiling: { tileSampleMinHeight: 32, tileSampleMinWidth: 48 } });
    const { frames, settings, notes, latents } = await engine.generate(clip);
    expect(settings.vae_tiling).toBeNull();
    expect(notes).toContain("vaeTiling had no effect: frames of 48x32 fit a tile of 48x32.");
    expect(await bytesOf(frames)).toEqual(whole);
    const again = await engine.decode({ latents, numFrames: 9, height: 32, width: 48 });
    expect(again.notes).toEqual(["vaeTiling had no effect: frames of 48x32 fit a tile of 48x32."]);
  });

  it("refuses sizes that are no whole latent cells when it is opened", async () => {
    await expect(open({ vaeTiling: { tileSampleMinWidth: 100 } })).rejects.toMatchObject({
      ...{ code: "BAD_OPTION", isUsage: true },
      message: expect.stringMatching(/^vaeTiling: tileSampleMinWidth is 100/),
    });
  });
});
