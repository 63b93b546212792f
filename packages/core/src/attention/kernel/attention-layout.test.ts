/** Rows as the kernel's tables, and work as dispatches: numbers only, no GPU. */
import type { Device } from "@lvsa/runtime";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chunkJobs } from "./attention-chunks.js";
import { AttentionLayout, encodeRows, maskRanges } from "./attention-layout.js";

// Building a layout touches no device; only using one does.
const device = {} as Device;

describe("rows of an attention layout", () => {
  test("ranges are sorted, merged where they touch, and empty ones left out", () => {
    const ranges = [
      [30, 40],
      [0, 10],
      [5, 5],
      [10, 20],
    ] as const;
    const layout = AttentionLayout.build(device, [{ queryStart: 0, queryEnd: 4, ranges }]);
    expect(layout.rows[0]!.ranges).toEqual([
      [0, 20],
      [30, 40],
    ]);
    expect(layout.pairs).toBe(4 * 30);
    expect(layout.extent).toEqual({ queries: 4, keys: 40, context: 0 });
  });

  test("overlapping ranges would count keys twice: an error with both ranges", () => {
    const rows = [{ queryStart: 0, queryEnd: 4, ranges: [[0, 10] as const, [9, 12] as const] }];
    expect(() => AttentionLayout.build(device, rows)).toThrow(
      /0\.\.10 and 9\.\.12 of the row of queries 0\.\.4/,
    );
    const backwards = [{ queryStart: 0, queryEnd: 4, ranges: [[7, 3] as const] }];
    expect(() => AttentionLayout.build(device, backwards)).toThrow(/7\.\.3 is no range/);
  });

  test("neighbours that see the same keys are one row", () => {
    const ranges = [[0, 8] as const];
    const rows = [
      { queryStart: 0, queryEnd: 4, ranges },
      { queryStart: 4, queryEnd: 8, ranges: [[4, 8] as const, [0, 4] as const] },
      { queryStart: 8, queryEnd: 12, ranges, contextEnd: 3 },
      { queryStart: 13, queryEnd: 16, ranges, contextEnd: 3 },
      { queryStart: 16, queryEnd: 20, ranges: [[0, 7] as const], contextEnd: 3 },
    ];
    const layout = AttentionLayout.build(device, rows);
    expect(layout.rows.map(({ queryStart, queryEnd }) => [queryStart, queryEnd])).toEqual([
      [0, 8],
      [8, 12],
      [13, 16],
      [16, 20],
    ]);
    expect(layout.pairs).toBe(8 * 8 + 4 * 8 + 3 * 8 + 4 * 7);
    layout.dispose();
  });

  test("tables hold every row, range and tile; rows with more keys come first", () => {
    const rows = [
      { queryStart: 0, queryEnd: 10, ranges: [[0, 5] as const] },
      { queryStart: 10, queryEnd: 33, ranges: [[0, 5] as const, [20, 33] as const], contextEnd: 7 },
    ];
    const { words, rangesAt, tilesAt, tileCount, keysOfTile } = encodeRows(rows, 16);
    expect([...words.subarray(0, rangesAt)]).toEqual([10, 0, 1, 0xffffffff, 33, 1, 3, 7]);
    expect([...words.subarray(rangesAt, tilesAt)]).toEqual([0, 5, 0, 5, 20, 33]);
    expect([...words.subarray(tilesAt)]).toEqual([1, 10, 1, 26, 0, 0]);
    expect(tileCount).toBe(3);
    expect([...keysOfTile]).toEqual([18, 18, 5]);
  });

  test("a mask's runs of ones become ranges", () => {
    expect(maskRanges(Uint8Array.from([1, 1, 0, 0, 1, 0, 1]))).toEqual([
      [0, 2],
      [4, 5],
      [6, 7],
    ]);
    expect(maskRanges(new Uint8Array(5))).toEqual([]);
  });
});

describe("dispatches of bounded work", () => {
  test("cover every workgroup once, in order, within the limit unless a single tile exceeds it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 400 }),
        (flops, repeats, limit) => {
          let next = 0;
          for (const { first, count } of chunkJobs(Float64Array.from(flops), repeats, limit)) {
            expect(first).toBe(next);
            expect(count).toBeGreaterThan(0);
            next += count;
            let work = 0;
            for (let job = first; job < next; job++) work += flops[job % flops.length]!;
            expect(count === 1 || work <= limit).toBe(true);
          }
          expect(next).toBe(flops.length * repeats);
        },
      ),
    );
  });
});
