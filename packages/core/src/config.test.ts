import { ConfigError } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { type LvsaConfigInput, parseLvsaConfig, resolveLvsaConfig } from "./config.js";

const clip = { latentFrames: 41, patchesPerFrame: 6, referenceLatentFrames: 21, temporalFactor: 4 };

describe("parseLvsaConfig", () => {
  it.each<[LvsaConfigInput, { auto: boolean; rotate: boolean; interval: number | null }]>([
    // Nothing said: automatic and rotating.
    [{}, { auto: true, rotate: true, interval: null }],
    [{ autoKeyframes: true }, { auto: true, rotate: false, interval: null }],
    [{ autoKeyframes: false }, { auto: false, rotate: false, interval: null }],
    [{ rotateKeyframes: false }, { auto: true, rotate: false, interval: null }],
    [{ keyFrameInterval: 16 }, { auto: false, rotate: false, interval: 16 }],
    [{ keyFrameInterval: null }, { auto: false, rotate: false, interval: null }],
    [
      { keyFrameInterval: 16, rotateKeyframes: true },
      { auto: false, rotate: true, interval: 16 },
    ],
  ])("%j", (input, { auto, rotate, interval }) => {
    const config = parseLvsaConfig(input);
    expect([config.autoKeyframes, config.rotateKeyframes, config.keyFrameInterval]).toEqual([
      auto,
      rotate,
      interval,
    ]);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ windowSize: -4 }, "windowSize"],
    [{ windowSize: 3.5 }, "windowSize"],
    [{ sparsityScale: Number.NaN }, "sparsityScale"],
    [{ sparsityScale: -1 }, "sparsityScale"],
    [{ referenceLatentFrames: 0 }, "referenceLatentFrames"],
    [{ keyFrameInterval: "16" }, "keyFrameInterval"],
    [{ windowsize: 4 }, "windowsize"],
  ])("refuses %j by name", (input, field) => {
    expect(() => parseLvsaConfig(input as LvsaConfigInput)).toThrow(ConfigError);
    expect(() => parseLvsaConfig(input as LvsaConfigInput)).toThrow(field);
  });
});

describe("resolveLvsaConfig", () => {
  it("computes the interval for rotating keyframes even where one is given", () => {
    const resolved = resolveLvsaConfig({ keyFrameInterval: 16, rotateKeyframes: true }, clip);
    expect(resolved.autoKeyframes).toBe(true);
    expect(resolved.keyframeInterval).toBe(3);
    expect(resolved.logLines).toContain(
      "[LVSA] --rotate-keyframes: computed key_frame_interval=3 (latent frames)",
    );
  });

  it("rotates a given interval when asked to", () => {
    const input = { keyFrameInterval: 16, rotateKeyframes: true, rotateGivenInterval: true };
    const resolved = resolveLvsaConfig(input, clip);
    expect([resolved.autoKeyframes, resolved.rotateKeyframes]).toEqual([false, true]);
    expect(resolved.keyframeInterval).toBe(Math.floor(16 / clip.temporalFactor));
    // There is nothing to rotate without an interval.
    expect(resolveLvsaConfig({ ...input, keyFrameInterval: 0 }, clip).autoKeyframes).toBe(true);
  });

  it.each<[LvsaConfigInput, string | undefined]>([
    [{ keyFrameInterval: 16, autoKeyframes: true }, "key_frame_interval=16 has no effect"],
    [{ keyFrameInterval: 16, rotateKeyframes: true }, "key_frame_interval=16 has no effect"],
    [{ keyFrameInterval: 16, sparsityScale: 2 }, "sparsity_scale=2 has no effect"],
    [{ keyFrameInterval: 3 }, "key_frame_interval=3 is less than one latent frame (4 video frames)"],
    [{ windowSize: 3 }, "window_size=3 is less than one latent frame"],
    [{ nFirstFrames: 1 }, "n_first_frames=1 is less than one latent frame"],
    [{ keyFrameInterval: 16 }, undefined],
    [{ sparsityScale: 2 }, undefined],
    [{ windowSize: 0, nFirstFrames: 0, keyFrameInterval: 4 }, undefined],
    [{}, undefined],
  ])("says what of %j has no effect", (input, expected) => {
    const { notes, logLines } = resolveLvsaConfig(input, clip);
    expect(logLines.join()).not.toContain("no effect");
    expect(notes).toEqual(expected === undefined ? [] : [expect.stringContaining(expected)]);
  });

  it("scales window and leading frames down when they just cover a longer clip", () => {
    // 12 and 4 video frames are half window 3 and 1 leading frame: 2 * 3 + 1 + 1 = 8 latent frames.
    const covers = (latentFrames: number) => {
      const { window, nFirstFrames } = resolveLvsaConfig(
        {},
        { ...clip, latentFrames, referenceLatentFrames: 5 },
      );
      return { window, nFirstFrames };
    };
    expect(covers(8)).toEqual({ window: 2, nFirstFrames: 1 });
    expect(covers(9)).toEqual({ window: 3, nFirstFrames: 1 });
  });

  it("refuses settings that leave queries without keys", () => {
    const nothing = { windowSize: 3, nFirstFrames: 3, keyFrameInterval: 3 };
    expect(() => resolveLvsaConfig(nothing, clip)).toThrow(
      expect.objectContaining({ code: "EMPTY_PATTERN" }),
    );
  });

  it.each(["latentFrames", "patchesPerFrame", "referenceLatentFrames", "temporalFactor"])(
    "refuses %s 0",
    (name) => {
      expect(() => resolveLvsaConfig({}, { ...clip, [name]: 0 })).toThrow(`${name} is 0`);
    },
  );

  it("says nothing on ranks other than 0", () => {
    expect(resolveLvsaConfig({}, clip, { worldSize: 2, rank: 1 }).logLines).toEqual([]);
  });
});
