import { describe, expect, it } from "vitest";
import { PatternController } from "./pattern-controller.js";

const create = () =>
  new PatternController({
    frames: 21,
    patchesPerFrame: 2,
    window: 3,
    nFirstFrames: 1,
    keyframeInterval: 4,
    referenceLatentFrames: 13,
  });

describe("PatternController", () => {
  it("keeps the same pattern object while nothing changes", () => {
    const controller = create();
    const { pattern } = controller;
    expect(controller.setStep(0)).toBe(false);
    expect(controller.setStep(4)).toBe(false);
    expect(controller.setWindowSize(3)).toBe(false);
    expect(controller.setSparsityScale(1)).toBe(false);
    expect(controller.pattern).toBe(pattern);
    expect(controller.setStep(1)).toBe(true);
    expect(controller.pattern).not.toBe(pattern);
  });

  it("stays as it was when a setter refuses its value", () => {
    const controller = create();
    const { pattern } = controller;
    expect(() => controller.setWindowSize(-1)).toThrow("window is -1");
    expect(() => controller.setSparsityScale(Number.NaN)).toThrow(
      expect.objectContaining({ code: "INVALID_SPARSITY_SCALE" }),
    );
    expect(controller.pattern).toBe(pattern);
    expect([controller.windowSize, controller.sparsityScale, controller.keyframeInterval]).toEqual([3, 1, 4]);
  });

  it("takes and leaves condition frames without changing interval or rotation", () => {
    const controller = create();
    controller.setStep(2);
    const before = controller.pattern.globalFrames;
    expect(controller.setConditionFrames([0, 19])).toBe(true);
    expect(controller.setConditionFrames([0, 19])).toBe(false);
    expect(controller.pattern.globalFrames).toEqual([...new Set([...before, 19])].sort((a, b) => a - b));
    expect([controller.keyframeInterval, controller.pattern.rotationOffset]).toEqual([4, 2]);
    const { pattern } = controller;
    expect(() => controller.setConditionFrames([21])).toThrow("conditionFrames is 21");
    expect(controller.pattern).toBe(pattern);
    // They stay through what other setters rebuild.
    controller.setWindowSize(2);
    expect(controller.pattern.conditionFrames).toEqual([0, 19]);
    controller.setConditionFrames([]);
    expect(controller.pattern.conditionFrames).toEqual([]);
  });

  it("describes the middle frame of the rank", () => {
    const controller = new PatternController({
      frames: 21,
      patchesPerFrame: 2,
      window: 3,
      nFirstFrames: 1,
      keyframeInterval: null,
      expandWindow: false,
      referenceLatentFrames: 13,
    });
    // Frame 10 sees frame 0 and 7..13; frame 0 would see 0..6 only.
    expect(controller.describe()).toContain("attended_per_frame=8/21");
  });
});
