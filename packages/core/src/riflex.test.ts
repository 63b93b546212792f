import { describe, expect, it } from "vitest";
import { applyRiflex, identifyIntrinsicFrequency, riflexFrequencies } from "./riflex.js";

const options = { temporalDim: 8, scale: 2, trainingLength: 21 };

describe("RIFLEx", () => {
  it("takes the first frequency of several that are equally near", () => {
    // With theta 1 all periods are 2 pi.
    expect(identifyIntrinsicFrequency(8, 21, 1)).toBe(0);
  });

  it("replaces one frequency and leaves the others alone", () => {
    const changed = riflexFrequencies({ ...options, k: 1 });
    const other = riflexFrequencies({ ...options, k: 2 });
    // A period of twice the training length, in radians per frame.
    expect(changed[1]).toBe((2 * Math.PI) / 42);
    expect(other[1]).toBeCloseTo(10000 ** (-2 / 8), 15);
    expect([changed[0], changed[3]]).toEqual([other[0], other[3]]);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
    "refuses scale %s and leaves the table alone",
    (scale) => {
      const table = { cos: new Float32Array(16).fill(2), sin: new Float32Array(16).fill(2), rowLength: 8 };
      expect(() => applyRiflex(table, { ...options, scale })).toThrow(
        expect.objectContaining({ code: "INVALID_RIFLEX_SCALE" }),
      );
      expect(table.cos.every((value) => value === 2)).toBe(true);
    },
  );
});
