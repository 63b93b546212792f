import { readFileSync } from "node:fs";
import {
  AttentionDispatcher,
  type AttentionModule,
  type AttentionTarget,
  type HostGeometry,
  installLvsa,
} from "@lvsa/core";
import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { createCogVideoXAdapter, VERSION } from "./index.js";

interface Clip {
  readonly family: string;
  readonly pipe: {
    readonly vae_scale_factor_temporal?: number;
    readonly vae_scale_factor_spatial?: number;
    readonly config: Record<string, unknown>;
  };
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
}
type Result = { value: number } | { error: string };

const clips = goldenCases<Clip, { latent_frames: Result; patches_per_frame: Result; reference: Result }>(
  "pattern/model_geometry.json",
).filter(({ input }) => input.family === "cogvideox");

const host = (config: Record<string, unknown> = {}): HostGeometry & { temporalFactor: number } => ({
  spatialFactor: 8,
  temporalFactor: 4,
  transformerConfig: { patch_size: 2, sample_frames: 49, ...config },
});

/** A model of which only the seam exists. */
function fakeModel(blocks: number): AttentionTarget {
  const modules = Array.from(
    { length: blocks },
    (_, index) => ({ name: `transformer_blocks.${index}.attn1`, index, role: "joint" }) as AttentionModule,
  );
  return { family: "cogvideox", attention: new AttentionDispatcher(), attentionModules: () => modules };
}

describe("CogVideoX geometry", () => {
  it.skipIf(clips.length === 0)("equals the Python original", () => {
    const adapter = createCogVideoXAdapter();
    for (const { input, output } of clips) {
      const { num_frames, height, width, pipe } = input;
      const geometry: HostGeometry = {
        spatialFactor: pipe.vae_scale_factor_spatial,
        temporalFactor: pipe.vae_scale_factor_temporal,
        transformerConfig: pipe.config,
      };
      const check = (compute: () => number, expected: Result) => {
        if ("error" in expected) expect(compute, JSON.stringify(input)).toThrow();
        else expect(compute(), JSON.stringify(input)).toBe(expected.value);
      };
      check(() => adapter.latentFrames(num_frames, geometry), output.latent_frames);
      check(() => adapter.patchesPerFrame(height, width, geometry), output.patches_per_frame);
      check(() => adapter.referenceLatentFrames(geometry), output.reference);
    }
  });

  it("counts token frames: a latent frame each, or two of them in 1.5", () => {
    const adapter = createCogVideoXAdapter();
    expect(adapter.latentFrames(49, host())).toBe(13);
    expect(adapter.patchesPerFrame(480, 720, host())).toBe(30 * 45);
    const newer = host({ patch_size_t: 2, sample_frames: 81 });
    expect(adapter.latentFrames(161, newer)).toBe(21);
    expect(adapter.patchesPerFrame(768, 1360, newer)).toBe(48 * 85);
    expect(adapter.referenceLatentFrames(newer)).toBe(11);
  });

  it("takes the training length from the option, then the checkpoint, then the family", () => {
    expect(createCogVideoXAdapter().referenceLatentFrames(host({ sample_frames: 25 }))).toBe(7);
    expect(createCogVideoXAdapter().referenceLatentFrames(host({ sample_frames: undefined }))).toBe(13);
    const adapter = createCogVideoXAdapter({ referenceLatentFrames: 9 });
    expect(adapter.referenceLatentFrames(host({ sample_frames: 25 }))).toBe(9);
  });
});

describe("installation", () => {
  it("claims every joint layer, and lets go of it", () => {
    const pipeline = { transformers: [fakeModel(3)], geometry: host() };
    const installed = installLvsa(pipeline, createCogVideoXAdapter());
    expect(installed.blocks).toBe(3);
    expect(() => installLvsa(pipeline, createCogVideoXAdapter())).toThrow(
      expect.objectContaining({ code: "LAYER_CLAIMED" }),
    );
    installed[Symbol.dispose]();
    installLvsa(pipeline, createCogVideoXAdapter())[Symbol.dispose]();
  });
});

describe("context parallel", () => {
  it("shares tokens equally or names the frame counts that work", () => {
    const adapter = createCogVideoXAdapter();
    expect(adapter.setupContextParallel({ latentFrames: 32, patchesPerFrame: 1590 }, 8)).toBe(6360);
    const clip = { latentFrames: 21, patchesPerFrame: 6 };
    expect(() => adapter.setupContextParallel(clip, 4)).toThrow(
      expect.objectContaining({ code: "NOT_DIVISIBLE", fix: "Use 20 or 22 latent frames." }),
    );
  });
});

describe("options", () => {
  it("become defaults, and bad ones are refused by name", () => {
    expect(createCogVideoXAdapter().defaults).toEqual({ windowSize: 12, nFirstFrames: 4 });
    expect(createCogVideoXAdapter({ nFirstFrames: 8 }).defaults).toEqual({ windowSize: 12, nFirstFrames: 8 });
    expect(() => createCogVideoXAdapter({ windowSize: -1 })).toThrow("windowSize");
  });
});

it("VERSION is that of package.json", () => {
  const file = new URL("../package.json", import.meta.url);
  expect(VERSION).toBe((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
});
