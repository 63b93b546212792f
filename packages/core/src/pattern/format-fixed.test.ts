import { describe, expect, it } from "vitest";
import { formatFixed } from "./format-fixed.js";

describe("formatFixed", () => {
  it.each([
    // Halves that are exact in binary go to the even digit; toFixed would give 7.3, 1.13 and 1.
    [7.25, 1, "7.2"],
    [7.75, 1, "7.8"],
    [1.125, 2, "1.12"],
    [1.375, 2, "1.38"],
    [0.5, 0, "0"],
    [1.5, 0, "2"],
    // Not a half in binary: 0.35 lies just below, 0.45 just above.
    [0.35, 1, "0.3"],
    [0.45, 1, "0.5"],
    [21, 1, "21.0"],
  ])("%f with %d decimals is %s", (value, decimals, text) => {
    expect(formatFixed(value, decimals)).toBe(text);
  });
});
