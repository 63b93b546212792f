import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toRational } from "./frame-rate.js";

describe("toRational", () => {
  it.each([
    [16, 16, 1],
    [12.5, 25, 2],
    [23.976, 2997, 125],
    [24000 / 1001, 24000, 1001],
    [30000 / 1001, 30000, 1001],
    [1 / 3, 1, 3],
    [1e-9, 1, 65535],
    [1e9, 65535, 1],
  ])("%d is %d/%d", (value, numerator, denominator) => {
    expect(toRational(value, 65535)).toEqual({ numerator, denominator });
  });

  it("stays in range and near for any frame rate", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1000, noNaN: true }), (value) => {
        const { numerator, denominator } = toRational(value, 65535);
        expect(Number.isInteger(numerator) && Number.isInteger(denominator)).toBe(true);
        expect(Math.min(numerator, denominator)).toBeGreaterThanOrEqual(1);
        expect(Math.max(numerator, denominator)).toBeLessThanOrEqual(65535);
        // A convergent's error is below 1 / (its denominator x the next one); the next did not fit in 65535, so its
        // own size or its value's numerator is above that.
        const next = 65535 / Math.max(1, value + 1);
        expect(Math.abs(numerator / denominator - value)).toBeLessThanOrEqual(
          Math.max(1 / (denominator * next), 1e-9 * value),
        );
      }),
    );
  });
});
