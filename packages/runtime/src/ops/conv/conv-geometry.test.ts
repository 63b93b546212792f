import { describe, expect, test } from "vitest";
import { type ConvGeometry, convGeometry, planConv } from "./conv-geometry.js";

const causal = { time: [2, 0], height: [1, 1], width: [1, 1] } as const;

function plan(g: ConvGeometry, bindingBytes: number, replicate = false, maxWork = 1e12) {
  const limits = {
    inputRowBytes: 64,
    outputRowBytes: 64,
    bindingBytes,
    alignment: 64,
    frameWork: 1e9,
    maxWork,
  };
  return planConv(g, limits, replicate);
}

describe("convGeometry", () => {
  test("sizes of the convolutions that autoencoders use", () => {
    const size = (...a: Parameters<typeof convGeometry>) => {
      const g = convGeometry(...a);
      return [g.outFrames, g.outHeight, g.outWidth];
    };
    expect(size([5, 8, 6], [3, 3, 3], [1, 1, 1], causal, 0)).toEqual([5, 8, 6]);
    expect(size([4, 8, 6], [3, 3, 3], [1, 1, 1], causal, 2)).toEqual([4, 8, 6]);
    const down = { time: [0, 0], height: [0, 1], width: [0, 1] } as const;
    expect(size([3, 8, 6], [1, 3, 3], [1, 2, 2], down, 0)).toEqual([3, 4, 3]);
    const none = { time: [0, 0], height: [0, 0], width: [0, 0] } as const;
    // A cached frame that padding does not ask for is used all the same.
    expect(size([4, 2, 2], [3, 1, 1], [2, 1, 1], none, 1)).toEqual([2, 2, 2]);
  });

  test("names the axis on which the kernel is too large", () => {
    const none = { time: [0, 0], height: [0, 0], width: [1, 1] } as const;
    expect(() => convGeometry([3, 2, 4], [3, 3, 3], [1, 1, 1], none, 0)).toThrow(/height is 2/);
  });
});

describe("planConv", () => {
  const g = convGeometry([7, 10, 6], [3, 3, 3], [1, 1, 1], causal, 1);

  test("one dispatch where everything fits", () => {
    const { pieces, whole } = plan(g, 1e6);
    expect(whole).toBe(true);
    expect(pieces).toHaveLength(1);
    expect(pieces[0]).toMatchObject({
      withHistory: true,
      front: 2,
      top: 1,
      taps: 3,
      frames: { start: 0, end: 7 },
    });
  });

  test("runs of frames, of which only the first need the history", () => {
    for (const { pieces, whole } of [plan(g, 5 * 640), plan(g, 1e6, false, 3e9)]) {
      expect(whole).toBe(true);
      expect(pieces.map((p) => [p.outFrames.start, p.outFrames.end])).toEqual([
        [0, 3],
        [3, 6],
        [6, 7],
      ]);
      expect(pieces.map((p) => p.withHistory)).toEqual([true, false, false]);
      // Output frame 3 reads input frames 1 to 3, the first of them bound first.
      expect(pieces[1]).toMatchObject({ frames: { start: 1, end: 6 }, front: 0 });
    }
  });

  test.each([false, true])("bands of rows where one frame is too large (replicate %s)", (replicate) => {
    const bindingBytes = 7 * 64;
    const { pieces, whole } = plan(g, bindingBytes, replicate);
    expect(whole).toBe(false);
    const first = new Map<string, number>();
    const taps = new Map<number, number>();
    for (const p of pieces) {
      expect((p.rows.end - p.rows.start) * 64).toBeLessThanOrEqual(bindingBytes);
      expect((p.outRows.end - p.outRows.start) * 64).toBeLessThanOrEqual(bindingBytes);
      for (let row = p.outRows.start; row < p.outRows.end; row++) {
        const key = `${p.outFrames.start},${row}`;
        // The first piece of an output overwrites, all later ones add.
        expect(p.accumulate).toBe(first.has(key));
        first.set(key, (first.get(key) ?? 0) + 1);
        // Input row of the first tap, as the shader computes it, is where the definition says.
        expect(row - p.outRows.start - p.top + p.rows.start).toBe(row - g.top);
      }
      taps.set(p.outFrames.start, 1 + (taps.get(p.outFrames.start) ?? 0));
    }
    expect(first.size).toBe(7 * 10);
    const bandsPerFrame = taps.get(6)! / 3;
    // Frame 0 has one cached frame and itself; the zero frame before them is skipped, or repeated.
    expect(taps.get(0)).toBe((replicate ? 3 : 2) * bandsPerFrame);
  });

  test("frames of padding only still get their bias", () => {
    const wide = convGeometry([1, 10, 6], [1, 1, 1], [1, 1, 1], { ...causal, time: [2, 0] }, 0);
    const { pieces } = plan(wide, 7 * 64);
    expect(pieces.filter((p) => p.outFrames.start === 0).every((p) => p.front === 1 && !p.accumulate)).toBe(
      true,
    );
  });

  test("says when not even a band fits", () => {
    expect(() => plan(g, 100)).toThrow(/do not fit a binding/);
  });
});
