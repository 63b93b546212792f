import { readFileSync } from "node:fs";
import { AttentionDispatcher, type AttentionModule } from "@lvsa/core";
import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { type Cosmos3LvsaOptions, type Cosmos3Transformer, installCosmos3Lvsa, VERSION } from "./index.js";

const geometry = goldenCases<
  { num_frames: number; height: number; width: number },
  { latent_frames: number; patches_per_frame: number; reference: number }
>("pattern/cosmos3_geometry.json");

/** A transformer that is never run. */
function transformer(roles = ["und", "self", "und", "self"], referenceLatentFrames = 48): Cosmos3Transformer {
  const modules = roles.map((role, i) => ({ role, name: `layer${i}` }) as AttentionModule);
  return {
    family: "cosmos3",
    attention: new AttentionDispatcher(),
    attentionModules: () => modules,
    config: { latent_patch_size: 2 },
    referenceLatentFrames,
  };
}

const clip = { numFrames: 377, height: 720, width: 1280 };
const resolved = (config: Cosmos3LvsaOptions["config"], numFrames = clip.numFrames) =>
  installCosmos3Lvsa(transformer(), { ...clip, numFrames, ...(config ? { config } : {}) }).processor.resolved;

describe("installCosmos3Lvsa", () => {
  it.skipIf(geometry.length === 0)(
    "counts frames and tokens as the original, partial patches included",
    () => {
      for (const { input, output } of geometry) {
        const { clip } = installCosmos3Lvsa(transformer(), {
          numFrames: input.num_frames,
          height: input.height,
          width: input.width,
        });
        expect(clip).toEqual({
          latentFrames: output.latent_frames,
          patchesPerFrame: output.patches_per_frame,
          referenceLatentFrames: output.reference,
          temporalFactor: 4,
        });
      }
    },
  );

  it("takes the generation layers alone and gives them back", () => {
    const model = transformer();
    const installed = installCosmos3Lvsa(model, clip);
    expect(installed.blocks).toBe(2);
    expect(() => installCosmos3Lvsa(model, clip)).toThrow(
      "both lvsa and lvsa want the attention layer layer1",
    );
    installed[Symbol.dispose]();
    expect(installCosmos3Lvsa(model, clip).blocks).toBe(2);
  });

  it("leaves no layer taken when one of them is", () => {
    const model = transformer();
    const taken = model.attentionModules()[3]!;
    const other = model.attention.claim(taken, "other", (call, next) => next(call));
    expect(() => installCosmos3Lvsa(model, clip)).toThrow("both other and lvsa");
    other[Symbol.dispose]();
    expect(installCosmos3Lvsa(model, clip).blocks).toBe(2);
  });

  it("refuses a model without generation layers", () => {
    expect(() => installCosmos3Lvsa(transformer(["und"]), clip)).toThrow(
      expect.objectContaining({ code: "NO_LAYERS" }),
    );
  });

  it("refuses a model of another family", () => {
    expect(() => installCosmos3Lvsa({ ...transformer(), family: "wan" }, clip)).toThrow(
      expect.objectContaining({ code: "ADAPTER_FAMILY" }),
    );
  });

  it("divides window and first frames by 4, and keeps at least one latent frame of each", () => {
    expect(resolved(undefined)).toMatchObject({
      window: 3,
      nFirstFrames: 1,
      keyframeInterval: expect.any(Number),
    });
    expect(resolved({ windowSize: 3, nFirstFrames: 0 })).toMatchObject({ window: 1, nFirstFrames: 1 });
    expect(resolved({ windowSize: 23, nFirstFrames: 9 })).toMatchObject({ window: 5, nFirstFrames: 2 });
    expect(() => resolved({ windowSize: -1 })).toThrow("windowSize");
  });

  it("is dense at the training length, which is shorter for Nemotron-style models", () => {
    expect(resolved(undefined, 189).keyframeInterval).toBe(1);
    expect(resolved(undefined, 193).keyframeInterval).toBeGreaterThan(1);
    const edge = installCosmos3Lvsa(transformer(undefined, 31), { ...clip, numFrames: 121 });
    expect(edge.clip).toMatchObject({ latentFrames: 31, referenceLatentFrames: 31 });
    expect(edge.processor.pattern.globalFrames).toHaveLength(31);
  });

  it("says what it installed", () => {
    const lines: string[] = [];
    installCosmos3Lvsa(transformer(), { ...clip, log: (line) => lines.push(line) });
    expect(lines[0]).toBe(
      "[LVSA] reference_latent_frames=48  target_latent_frames=95  extension_ratio=1.98x",
    );
    expect(lines.at(-1)).toBe(
      "[LVSA] installed on 2 blocks  num_patches=920  total_lat_frames=95  backend=WebGPU",
    );
  });
});

it("VERSION is that of package.json", () => {
  const file = new URL("../package.json", import.meta.url);
  expect(VERSION).toBe((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version);
});
