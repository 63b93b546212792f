import { describe, expect, it } from "vitest";
import { videoGrid } from "./video-grid.js";
import type { ModelGeometry } from "./video-model.js";

const geometry: ModelGeometry = {
  ...{ vaeSpatial: 16, vaeTemporal: 4, patch: 1, patchT: 1, latentChannels: 32, transformerInChannels: 65 },
  ...{ framesFirst: false, padsPatches: false, referenceTokenFrames: 33 },
};

describe("videoGrid", () => {
  it("gives the latents of HunyuanVideo 1.5's default clip", () => {
    expect(videoGrid({ numFrames: 121, height: 480, width: 848 }, geometry)).toMatchObject({
      latentShape: [1, 32, 31, 30, 53],
      tokenFrames: 31,
      patchesPerFrame: 30 * 53,
    });
  });

  it("names the nearest frame counts and sizes that fit", () => {
    const error = (numFrames: number, height: number, width: number, patch: 1 | 2 = 1) => {
      try {
        videoGrid({ numFrames, height, width }, { ...geometry, patch });
      } catch (e) {
        return e;
      }
      return undefined;
    };
    expect(error(120, 480, 848)).toMatchObject({ code: "BAD_FRAME_COUNT", fix: "Use 117 or 121 frames." });
    expect(error(0, 480, 848)).toMatchObject({ code: "BAD_FRAME_COUNT", fix: "Use 1 frame." });
    expect(error(121, 475, 848)).toMatchObject({ code: "BAD_SIZE", fix: "Use height 464 or 480." });
    expect(error(121, 480, 848, 2)).toMatchObject({ code: "BAD_SIZE", fix: "Use width 832 or 864." });
  });
});
