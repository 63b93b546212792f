/** From lengths of changes to ratios, through a file's JSON, to what MagCache skips: against numbers worked out by hand. */
import { describe, expect, it } from "vitest";
import { CalibrationDecider, calibratedRatios } from "./calibration.js";
import { MagDecider, magForced } from "./decisions.js";
import { magRatiosFor } from "./mag-ratios.js";
import { magRatiosSchema } from "./step-cache-options.js";

/** Two tokens of width 2, of these lengths. */
const change = (a: number, b: number) => Float32Array.of(0.6 * a, 0.8 * a, 0, -b);

function measured(steps: readonly (readonly [number, number])[]): number[] {
  const decider = new CalibrationDecider();
  for (const [a, b] of steps) {
    expect(decider.next()).toEqual({ reuse: false, value: null });
    decider.hearChange(change(a, b), 2);
  }
  return decider.ratios;
}

describe("ratios that were measured", () => {
  // Means of (2, 0.5), (0.9, 0.9), (1, 1.1), (1, 0.5), (1, 1).
  const positive = measured([
    [10, 10],
    [20, 5],
    [18, 4.5],
    [18, 4.95],
    [18, 2.475],
    [18, 2.475],
  ]);
  const ratios = magRatiosSchema.parse(
    JSON.parse(JSON.stringify(calibratedRatios({ positive, negative: [] }))),
  );

  it("are the mean over tokens of how their lengths change", () => {
    expect(ratios).toEqual({ positive: [1, 1.25, 0.9, 1.05, 0.75, 1] });
  });

  it.each([
    // Errors since the last step that ran: 0.25; 0.1, then 0.1 + |1 - 0.945|; 0.25; 0.
    { threshold: 0.16, maxSkipSteps: 5, reused: [false, false, true, true, false, true] },
    // 0.155 is not below it.
    { threshold: 0.15, maxSkipSteps: 5, reused: [false, false, true, false, false, true] },
    // Two in a row are more than one; 0.75 alone is off by 0.25.
    { threshold: 0.16, maxSkipSteps: 1, reused: [false, false, true, false, false, true] },
    { threshold: 1e-9, maxSkipSteps: 5, reused: [false, false, false, false, false, true] },
    { threshold: 1e9, maxSkipSteps: 5, reused: [false, true, true, true, true, true] },
    { threshold: 1e9, maxSkipSteps: 0, reused: [false, false, false, false, false, false] },
  ])("make MagCache skip $reused below $threshold, $maxSkipSteps in a row", ({ reused, ...limits }) => {
    const decider = new MagDecider({
      ...{ ratios: magRatiosFor(ratios.positive, 6), isInclusive: false, ...limits },
      isForced: magForced("positive", 6, 0),
    });
    let ran = false;
    const decisions = reused.map((_, step) => {
      const { reuse } = decider.next(step, ran);
      ran ||= !reuse;
      return reuse;
    });
    expect(decisions).toEqual(reused);
  });

  it("run the retained share of the steps, counted in passes, and leave the error alone there", () => {
    const decider = (branch: "positive" | "negative") =>
      new MagDecider({
        ...{ ratios: magRatiosFor(ratios.positive, 6), isInclusive: false, threshold: 1e9, maxSkipSteps: 9 },
        // Of twelve passes the first five: three with the prompt, two without.
        isForced: magForced(branch, 6, 0.42),
      });
    const forced = (branch: "positive" | "negative") => {
      const one = decider(branch);
      return Array.from({ length: 6 }, (_, step) => one.next(step, true).value === null);
    };
    expect(forced("positive")).toEqual([true, true, true, false, false, false]);
    expect(forced("negative")).toEqual([true, true, false, false, false, false]);
  });

  it("are refused where a token's change was nothing before", () => {
    const broken = measured([
      [10, 10],
      [10, 0],
      [10, 1],
    ]);
    for (const ratios of [
      { positive: broken, negative: [] },
      { positive: [1, 1, 1], negative: broken },
    ])
      expect(() => calibratedRatios(ratios)).toThrow(
        expect.objectContaining({ code: "NO_RATIO", message: expect.stringContaining("step 3") }),
      );
  });

  it("stand for other numbers of steps by the nearest one, halves to the even", () => {
    expect(magRatiosFor(ratios.positive, 3)).toEqual([1, 0.9, 1]);
    expect(magRatiosFor(ratios.positive, 1)).toEqual([1]);
    expect(magRatiosFor(ratios.positive, 11)).toEqual([1, 1, 1.25, 0.9, 0.9, 0.9, 1.05, 0.75, 0.75, 0.75, 1]);
  });
});
