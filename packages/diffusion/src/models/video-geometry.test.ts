import { describe, expect, it } from "vitest";
import { videoGeometry } from "./video-geometry.js";

const latents = { frames: 6, height: 4, width: 8 };

describe("videoGeometry", () => {
  it("counts tokens", () => {
    expect(videoGeometry("Wan", latents, [1, 2, 2])).toEqual({
      ...{ latentFrames: 6, height: 2, width: 4, patchesPerFrame: 8 },
    });
  });

  it("gives condition frames as token frames, each once", () => {
    const of = (conditionFrames: number[]) =>
      videoGeometry("CogVideoX", latents, [2, 2, 2], { conditionFrames });
    expect(of([0])).toMatchObject({ latentFrames: 3, conditionFrames: [0] });
    expect(of([5, 1, 0]).conditionFrames).toEqual([0, 2]);
    expect(of([])).not.toHaveProperty("conditionFrames");
  });

  it.each([[[6]], [[-1]], [[0.5]]])("refuses condition frames %j of 6", (conditionFrames) => {
    expect(() => videoGeometry("Wan", latents, [1, 2, 2], { conditionFrames })).toThrow(
      expect.objectContaining({ code: "SHAPE_MISMATCH" }),
    );
  });
});
