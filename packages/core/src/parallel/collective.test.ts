/** Ranks of one process, and how they share frames. */
import { describe, expect, test } from "vitest";
import { LocalCollective, takeRanges } from "./collective.js";
import { shareFrames } from "./share-frames.js";

const bytes = (...values: number[]) => Uint8Array.from(values);

describe("LocalCollective", () => {
  test("gives every rank what it wants of each", async () => {
    const got = await LocalCollective.run(3, async (collective) => {
      const { rank } = collective;
      const all = await collective.allGather(bytes(10 * rank, 10 * rank + 1, 10 * rank + 2));
      const some = await collective.allGather(bytes(rank, rank + 1, rank + 2, rank + 3), [
        [],
        [
          [0, 1],
          [2, 4],
        ],
        [[3, 4]],
      ]);
      return [all, some].map((parts) => parts.map((part) => [...part]));
    });
    for (const [all, some] of got) {
      expect(all).toEqual([
        [0, 1, 2],
        [10, 11, 12],
        [20, 21, 22],
      ]);
      expect(some).toEqual([[], [1, 3, 4], [5]]);
    }
  });

  test("a rank that fails ends those that wait for it, with its error", async () => {
    const ended: number[] = [];
    const run = LocalCollective.run(3, async (collective) => {
      try {
        if (collective.rank === 1) throw new Error("rank 1 broke");
        await collective.allGather(bytes(1));
      } finally {
        ended.push(collective.rank);
      }
    });
    await expect(run).rejects.toThrow("rank 1 broke");
    expect(ended.sort()).toEqual([0, 1, 2]);
  });

  test("puts parts into memory of the caller's", async () => {
    const got = await LocalCollective.run(2, async (collective) => {
      const memory = bytes(9, 9, 9, 9);
      const into = [memory.subarray(0, 1), memory.subarray(2, 4)];
      const wanted = [[[0, 1]], [[1, 3]]] as const;
      const parts = await collective.allGather(bytes(1, 2, 3), wanted, into);
      expect(parts.map((part) => part.buffer)).toEqual([memory.buffer, memory.buffer]);
      return [...memory];
    });
    expect(got).toEqual([
      [1, 9, 2, 3],
      [1, 9, 2, 3],
    ]);
    expect(() => takeRanges(bytes(1, 2), [[0, 1]], bytes(1, 2))).toThrow(
      "1 bytes of a rank were to be put into 2",
    );
  });

  test("wanting more than there is names both", () => {
    expect(() => takeRanges(bytes(1, 2), [[1, 4]])).toThrow("bytes 1 to 4 were wanted of a rank that gave 2");
  });
});

test("frames are shared whole and evenly, and none is left out", () => {
  expect(shareFrames(7, 3)).toEqual([
    { first: 0, end: 3 },
    { first: 3, end: 5 },
    { first: 5, end: 7 },
  ]);
  for (let frames = 4; frames < 30; frames++) {
    const shares = shareFrames(frames, 4);
    expect(
      shares.flatMap(({ first, end }) => Array.from({ length: end - first }, (_, i) => first + i)),
    ).toEqual(Array.from({ length: frames }, (_, i) => i));
    const sizes = shares.map(({ first, end }) => end - first);
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
  }
  expect(() => shareFrames(2, 3)).toThrow(expect.objectContaining({ code: "TOO_FEW_FRAMES" }));
});
