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
import { createHunyuanAdapter, VERSION } from "./index.js";

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
).filter(({ input }) => input.family === "hunyuan_video");

const host = (config: Record<string, unknown> = {}): HostGeometry & { temporalFactor: number } => ({
  spatialFactor: 16,
  temporalFactor: 4,
  transformerConfig: { patch_size: 1, ...config },
});

/** A model of which only the seam exists. */
function fakeModel(blocks: number): AttentionTarget {
  const modules = Array.from(
    { length: blocks },
    (_, index) => ({ name: `transformer_blocks.${index}.attn`, index, role: "joint" }) as AttentionModule,
  );
  return { family: "hunyuan", attention: new AttentionDispatcher(), attentionModules: () => modules };
}

describe("HunyuanVideo geometry", () => {
  it.skipIf(clips.length === 0)("equals the Python original", () => {
    const adapter = createHunyuanAdapter();
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

  it("is that of the released 480p model", () => {
    const adapter = createHunyuanAdapter();
    expect(adapter.latentFrames(121, host())).toBe(31);
    expect(adapter.patchesPerFrame(480, 848, host())).toBe(30 * 53);
    expect(adapter.referenceLatentFrames(host())).toBe(33);
  });

  it("takes the training length from the option, then the checkpoint, then the family", () => {
    expect(createHunyuanAdapter().referenceLatentFrames(host({ sample_n_frames: 121 }))).toBe(31);
    const adapter = createHunyuanAdapter({ referenceLatentFrames: 9 });
    expect(adapter.referenceLatentFrames(host({ sample_n_frames: 121 }))).toBe(9);
  });
});

describe("installation", () => {
  it("claims every joint layer, and lets go of it", () => {
    const pipeline = { transformers: [fakeModel(3)], geometry: host() };
    const installed = installLvsa(pipeline, createHunyuanAdapter());
    expect(installed.blocks).toBe(3);
    expect(() => installLvsa(pipeline, createHunyuanAdapter())).toThrow(
      expect.objectContaining({ code: "LAYER_CLAIMED" }),
    );
    installed[Symbol.dispose]();
    installLvsa(pipeline, createHunyuanAdapter())[Symbol.dispose]();
  });
});

describe("context parallel", () => {
  it("shares tokens equally or names the frame counts that work", () => {
    const adapter = createHunyuanAdapter();
    expect(adapter.setupContextParallel({ latentFrames: 32, patchesPerFrame: 1590 }, 8)).toBe(6360);
    const clip = { latentFrames: 21, patchesPerFrame: 6 };
    expect(() => adapter.setupContextParallel(clip, 4)).toThrow(
      expect.objectContaining({ code: "NOT_DIVISIBLE", fix: "Use 20 or 22 latent frames." }),
    );
  });
});

describe("options", () => {
  it("become defaults, and bad ones are refused by name", () => {
    expect(createHunyuanAdapter().defaults).toEqual({ windowSize: 12, nFirstFrames: 4 });
    expect(createHunyuanAdapter({ nFirstFrames: 8 }).defaults).toEqual({ windowSize: 12, nFirstFrames: 8 });
    expect(() => createHunyuanAdapter({ windowSize: -1 })).toThrow("windowSize");
  });
});

it("VERSION is that of package.json", () => {
  const file = new URL("../package.json", import.meta.url);
  expect(VERSION).toBe((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
});
