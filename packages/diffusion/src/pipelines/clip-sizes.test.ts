import { describe, expect, it } from "vitest";
import { latentShape } from "./clip-sizes.js";

const grid = { temporalFactor: 4, spatialFactor: 16, patchSize: [1, 1, 1], latentChannels: 32 } as const;

describe("latentShape", () => {
  it("gives the latents of HunyuanVideo 1.5's default clip", () => {
    expect(latentShape(grid, 121, 480, 848)).toEqual([1, 32, 31, 30, 53]);
  });

  it("names the nearest frame counts and sizes that fit", () => {
    const error = (frames: number, height: number, width: number, patch: 1 | 2 = 1) => {
      try {
        latentShape({ ...grid, patchSize: [1, patch, patch] }, frames, height, width);
      } catch (e) {
        return e;
      }
      return undefined;
    };
    expect(error(120, 480, 848)).toMatchObject({ code: "BAD_FRAME_COUNT", fix: "Use 117 or 121 frames." });
    expect(error(0, 480, 848)).toMatchObject({ code: "BAD_FRAME_COUNT", fix: "Use 1 or 5 frames." });
    expect(error(121, 475, 848)).toMatchObject({ code: "BAD_SIZE", fix: "Use height 464 or 480." });
    expect(error(121, 480, 848, 2)).toMatchObject({ code: "BAD_SIZE", fix: "Use width 832 or 864." });
  });
});
