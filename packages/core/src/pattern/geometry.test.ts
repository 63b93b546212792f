import { describe, expect, it } from "vitest";
import { computeLatentFrames, computePatchesPerFrame, type GeometryRules } from "./geometry.js";
import { computeSequenceLength } from "./sequence-length.js";

const rules: GeometryRules = { patchSize: 2, referenceLatentFrames: 21 };

describe("geometry", () => {
  it("asks for what neither host nor family states", () => {
    const host = { transformerConfig: {} };
    expect(() => computeLatentFrames(81, host, rules)).toThrow(/temporal factor .* is undefined/);
    expect(() => computePatchesPerFrame(480, 832, host, rules)).toThrow(/spatial factor .* is undefined/);
  });

  it.each([[null], ["2"], [[1]], [0]])("refuses patch_size %j", (patch_size) => {
    const host = { temporalFactor: 4, spatialFactor: 8, transformerConfig: { patch_size } };
    expect(() => computePatchesPerFrame(480, 832, host, rules)).toThrow("patch_size");
  });
});

describe("computeSequenceLength", () => {
  it("names the nearest clip lengths that the ranks divide, and they do", () => {
    const clip = {
      numFrames: 81,
      height: 480,
      width: 832,
      temporalFactor: 4,
      spatialFactor: 8,
      worldSize: 16,
    };
    // 1560 tokens per frame: 16 ranks need an even number of latent frames, 20 (77) or 22 (85).
    expect(() => computeSequenceLength(clip)).toThrow(
      expect.objectContaining({ fix: expect.stringContaining("77 or 85") }),
    );
    expect(computeSequenceLength({ ...clip, numFrames: 77 }).perRank).toBe((20 * 1560) / 16);
    expect(computeSequenceLength({ ...clip, numFrames: 85 }).perRank).toBe((22 * 1560) / 16);
  });

  it("names no shorter clip where there is none", () => {
    const clip = { numFrames: 5, height: 32, width: 32, temporalFactor: 4, spatialFactor: 8, worldSize: 16 };
    // 4 tokens per frame: the smallest that works is 4 latent frames.
    expect(() => computeSequenceLength(clip)).toThrow(
      expect.objectContaining({ fix: "Use --num-frames 13." }),
    );
  });
});
