import { readFileSync } from "node:fs";
import {
  AttentionDispatcher,
  type AttentionModule,
  type AttentionTarget,
  type HostGeometry,
  installLvsa,
  LvsaAttentionProcessor,
} from "@lvsa/core";
import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { createWanAdapter, VERSION } from "./index.js";

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
).filter(({ input }) => input.family === "wan");

const host = (config: Record<string, unknown> = {}): HostGeometry & { temporalFactor: number } => ({
  spatialFactor: 8,
  temporalFactor: 4,
  transformerConfig: { patch_size: [1, 2, 2], in_channels: 16, ...config },
});

/** A model of which only the seam exists: self and cross attention layers. */
function fakeModel(blocks: number): AttentionTarget {
  const layer = (role: "self" | "cross", index: number) =>
    ({ name: `blocks.${index}.${role}`, index, role }) as AttentionModule;
  const modules = Array.from({ length: blocks }, (_, i) => [layer("self", i), layer("cross", i)]).flat();
  return { family: "wan", attention: new AttentionDispatcher(), attentionModules: () => modules };
}

describe("Wan geometry", () => {
  it.skipIf(clips.length === 0)("equals the Python original", () => {
    const adapter = createWanAdapter();
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

  it("takes the training length from the option, the host, the checkpoint, the family", () => {
    const adapter = createWanAdapter();
    expect(adapter.referenceLatentFrames(host())).toBe(21);
    expect(adapter.referenceLatentFrames(host({ sample_frames: 121 }))).toBe(31);
    const stated = { ...host({ sample_frames: 121 }), referenceLatentFrames: 25 };
    expect(adapter.referenceLatentFrames(stated)).toBe(25);
    expect(createWanAdapter({ referenceLatentFrames: 9 }).referenceLatentFrames(stated)).toBe(9);
  });
});

describe("installation", () => {
  it("claims the self attention of every transformer, and lets go of it", () => {
    const models = [fakeModel(3), fakeModel(2)];
    const pipeline = { transformers: models, geometry: host() };
    const installed = installLvsa(pipeline, createWanAdapter());
    expect(installed.blocks).toBe(5);
    // A second owner finds the layers taken: nothing of it stays behind.
    expect(() => installLvsa(pipeline, createWanAdapter())).toThrow(
      expect.objectContaining({ code: "LAYER_CLAIMED" }),
    );
    installed[Symbol.dispose]();
    installLvsa(pipeline, createWanAdapter())[Symbol.dispose]();
  });

  it("releases what it claimed when a later layer is taken", () => {
    const model = fakeModel(3);
    const last = model.attentionModules().filter((m) => m.role === "self")[2]!;
    using _taken = model.attention.claim(last, "someone", (call, next) => next(call));
    const adapter = createWanAdapter();
    const processor = new LvsaAttentionProcessor(adapter, {
      referenceLatentFrames: 21,
      temporalFactor: 4,
    });
    expect(() => adapter.installProcessor(model, processor)).toThrow("someone");
    const first = model.attentionModules()[0]!;
    model.attention.claim(first, "free again", (call, next) => next(call));
  });
});

describe("context parallel", () => {
  it("shares tokens equally or names the frame counts that work", () => {
    const adapter = createWanAdapter();
    expect(adapter.setupContextParallel({ latentFrames: 21, patchesPerFrame: 1560 }, 8)).toBe(4095);
    const clip = { latentFrames: 21, patchesPerFrame: 6 };
    expect(() => adapter.setupContextParallel(clip, 4)).toThrow(
      expect.objectContaining({ code: "NOT_DIVISIBLE", fix: "Use 20 or 22 latent frames." }),
    );
  });
});

describe("options", () => {
  it("become defaults, and bad ones are refused by name", () => {
    expect(createWanAdapter().defaults).toEqual({ windowSize: 12, nFirstFrames: 4 });
    expect(createWanAdapter({ windowSize: 20 }).defaults).toEqual({ windowSize: 20, nFirstFrames: 4 });
    expect(() => createWanAdapter({ windowSize: -1 })).toThrow("windowSize");
  });
});

it("VERSION is that of package.json", () => {
  const file = new URL("../package.json", import.meta.url);
  expect(VERSION).toBe((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
});
