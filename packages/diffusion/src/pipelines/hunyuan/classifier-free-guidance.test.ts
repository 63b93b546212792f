import { describe, expect, it } from "vitest";
import { ClassifierFreeGuidance } from "./classifier-free-guidance.js";

const guider = (config: Record<string, unknown> = {}) =>
  ClassifierFreeGuidance.fromConfig({ _class_name: "ClassifierFreeGuidance", ...config });
const positive = Float32Array.from([1, 2, 4, -3]);
const negative = Float32Array.from([0, 1, -1, 1]);

describe("ClassifierFreeGuidance", () => {
  it("has the defaults of diffusers", () => {
    expect(guider().config).toMatchObject({ guidance_scale: 7.5, start: 0, stop: 1, enabled: true });
  });

  it("moves from the negative prediction, or in the paper's formulation from the positive one", () => {
    // negative + 3 · (positive − negative), and positive + 3 · (positive − negative).
    expect([...guider({ guidance_scale: 3 }).combine(positive, negative)]).toEqual([3, 4, 14, -11]);
    const original = guider({ guidance_scale: 3, use_original_formulation: true });
    expect([...original.combine(positive, negative)]).toEqual([4, 5, 19, -15]);
  });

  it("is off at the neutral scale of its formulation, when disabled, and outside of its steps", () => {
    expect(guider({ guidance_scale: 1 }).isEnabled()).toBe(false);
    expect(guider({ guidance_scale: 0 }).isEnabled()).toBe(true);
    expect(guider({ guidance_scale: 0, use_original_formulation: true }).isEnabled()).toBe(false);
    expect(guider({ enabled: false }).isEnabled()).toBe(false);
    expect(guider().withScale(1).isEnabled()).toBe(false);
    // Of 5 steps, int(0.25 · 5) = 1 up to int(0.8 · 5) = 4 are guided.
    const part = guider({ start: 0.25, stop: 0.8 });
    expect([0, 1, 2, 3, 4].map((step) => part.isEnabled(step, 5))).toEqual([false, true, true, true, false]);
    expect([...part.combine(positive, undefined)]).toEqual([...positive]);
  });

  it("rescales to the spread of the positive prediction", () => {
    const out = guider({ guidance_scale: 3, guidance_rescale: 1 }).combine(positive, negative);
    const spread = (x: Float32Array) => {
      const mean = x.reduce((a, b) => a + b, 0) / x.length;
      return Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (x.length - 1));
    };
    // One rounding to f32 per element.
    expect(spread(out)).toBeCloseTo(spread(positive), 5);
  });

  it("refuses other guiders by name", () => {
    expect(() => guider({ _class_name: "SkipLayerGuidance" })).toThrow("SkipLayerGuidance");
  });
});
