/** Ranks joined by sockets and shared files. Here all are in one process; `lvsa generate` has them in their own. */
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "@lvsa/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ProcessGroup, type ProcessGroupOptions } from "./process-group.js";

let folder: string;
let groups: ProcessGroup[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ranks-"));
  groups = [];
});
afterEach(async () => {
  for (const group of groups) await group.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(worldSize: number, options: Partial<ProcessGroupOptions> = {}): Promise<ProcessGroup[]> {
  const first = await ProcessGroup.open({ worldSize, folder, ...options });
  groups.push(first);
  for (let rank = 1; rank < worldSize; rank++) groups.push(await ProcessGroup.join(first.address, rank));
  await first.complete();
  return groups;
}

const numbers = (rank: number, round: number, size = 1000) =>
  Uint8Array.from({ length: size }, (_, i) => (i * 7 + rank * 31 + round * 101) % 256);

test("every rank gets everyone's bytes, or the ranges that it wants, round after round", async () => {
  const ranks = await open(3, { task: { prompt: "a cat" } });
  expect(ranks.map(({ task }) => task)).toEqual([
    { prompt: "a cat" },
    { prompt: "a cat" },
    { prompt: "a cat" },
  ]);
  await Promise.all(
    ranks.map(async (group) => {
      const { rank } = group;
      const all = group.collective();
      for (let round = 0; round < 6; round++) {
        // Parts grow and shrink, and files are those of two rounds before.
        const size = 1000 - 150 * ((rank + round) % 4);
        const parts = await all.allGather(numbers(rank, round, size));
        for (const [from, part] of parts.entries()) {
          expect(part).toEqual(numbers(from, round, 1000 - 150 * ((from + round) % 4)));
        }
      }
      const wanted = [
        [],
        [
          [3, 5],
          [100, 102],
        ],
        [[999, 1000]],
      ] as const;
      const [none, two, one] = await all.allGather(numbers(rank, 9), wanted);
      expect(none!.byteLength).toBe(0);
      expect([...two!]).toEqual([3, 4, 100, 101].map((i) => numbers(1, 9)[i]));
      expect([...one!]).toEqual([numbers(2, 9)[999]]);
    }),
  );
});

test("large parts, which lie in several files, are put where the caller wants them", async () => {
  const ranks = await open(3, { timeoutSeconds: 20 });
  const MB = 1 << 20;
  const part = (rank: number, round: number) => {
    const bytes = new Uint8Array((21 + rank) * MB + 4 * round);
    for (let at = 0; at < bytes.byteLength; at += 4093) bytes[at] = (at / 4093 + rank * 31 + round) % 251;
    return bytes;
  };
  // Over the ends of pieces, and from the last piece alone.
  const ranges = [
    [5, 4 * MB + 7],
    [15 * MB, 20 * MB + 1],
    [21 * MB - 3, 21 * MB],
  ] as const;
  await Promise.all(
    ranks.map(async (group) => {
      const all = group.collective();
      for (let round = 0; round < 3; round++) {
        const wanted = ranks.map(({ rank }) => (rank === group.rank ? [] : ranges));
        const size = ranges.reduce((sum, [start, end]) => sum + end - start, 0);
        const memory = new Uint8Array(2 * size + 100).fill(255);
        // Its own part takes none.
        const into = ranks.map(({ rank }) => {
          const at = 50 + (rank > group.rank ? rank - 1 : rank) * size;
          return memory.subarray(at, at + (rank === group.rank ? 0 : size));
        });
        const got = await all.allGather(part(group.rank, round), wanted, into);
        for (const [from, bytes] of got.entries()) {
          expect(bytes).toBe(into[from]);
          if (from === group.rank) continue;
          const given = part(from, round);
          const expected = Buffer.concat(ranges.map(([start, end]) => given.subarray(start, end)));
          expect(Buffer.compare(bytes, expected), `rank ${from} to ${group.rank}, round ${round}`).toBe(0);
        }
        expect([...memory.subarray(0, 50), ...memory.subarray(-50)].every((byte) => byte === 255)).toBe(true);
      }
      const { givenBytes, takenBytes } = group.traffic;
      expect(givenBytes).toBe(3 * (21 + group.rank) * MB + 12);
      expect(takenBytes).toBe(3 * 2 * ranges.reduce((sum, [start, end]) => sum + end - start, 0));
    }),
  );
});

test("memory of another size than what is wanted is refused", async () => {
  const [first, second] = await open(2);
  const wanted = [[], [[0, 4]]] as const;
  const wrong = first!
    .collective()
    .allGather(new Uint8Array(4), wanted, [new Uint8Array(), new Uint8Array(3)]);
  wrong.catch(() => {});
  await second!.collective().allGather(new Uint8Array(4));
  await expect(wrong).rejects.toMatchObject({
    ...{ code: "COLLECTIVE_MISMATCH", message: "4 bytes of a rank were to be put into 3" },
  });
});

test("groups of some ranks exchange by themselves", async () => {
  const ranks = await open(4);
  const got = await Promise.all(
    ranks.map(async (group) => {
      const pair = group.rank < 2 ? [0, 1] : [2, 3];
      const column = [group.rank % 2, (group.rank % 2) + 2];
      const context = group.collective(pair);
      const guidance = group.collective(column);
      const me = Uint8Array.of(group.rank);
      // One pair gathers more often than the other.
      if (group.rank < 2) await context.allGather(me);
      const a = await context.allGather(me);
      const b = await guidance.allGather(me);
      return [a, b].map((parts) => parts.map((part) => part[0]));
    }),
  );
  expect(got).toEqual([
    [
      [0, 1],
      [0, 2],
    ],
    [
      [0, 1],
      [1, 3],
    ],
    [
      [2, 3],
      [0, 2],
    ],
    [
      [2, 3],
      [1, 3],
    ],
  ]);
  expect(() => ranks[0]!.collective([1, 2])).toThrow("rank 0 is not one of 1, 2");
});

test("a rank that is gone ends the others, by name", async () => {
  const [first, second, third] = await open(3);
  const waiting = [first!, second!].map((group) => group.collective().allGather(Uint8Array.of(1)));
  await third!.close();
  for (const one of waiting) {
    await expect(one).rejects.toMatchObject({
      code: "RANK_LOST",
      message: expect.stringContaining("rank 2 of 3"),
    });
  }
  await expect(first!.collective().allGather(Uint8Array.of(1))).rejects.toMatchObject({ code: "RANK_LOST" });
  await expect.poll(() => second!.lost.reason).toMatchObject({ code: "RANK_LOST" });
});

test("without rank 0 the others end too, and tidy up after it", async () => {
  const [first, second] = await open(2);
  const waiting = second!.collective().allGather(Uint8Array.of(1));
  waiting.catch(() => {});
  await first!.close();
  await expect(waiting).rejects.toMatchObject({
    code: "RANK_LOST",
    message: expect.stringContaining("rank 0"),
  });
  await second!.close();
  expect(existsSync(first!.address)).toBe(false);
});

test("a rank's own error is what the others end with", async () => {
  const [first, second] = await open(2);
  const waiting = first!.collective().allGather(Uint8Array.of(1));
  waiting.catch(() => {});
  second!.fail(new UsageError("BAD_OPTION", "two is too many", { fix: "Take one." }));
  await expect(waiting).rejects.toMatchObject({
    ...{ code: "BAD_OPTION", message: "rank 1: two is too many", fix: "Take one." },
  });
  first!.fail(new Error("later, and not heard"));
  await expect.poll(() => second!.lost.reason).toMatchObject({ code: "BAD_OPTION" });
});

test("nobody waits for a rank that has left, or for one that says nothing", async () => {
  const [first, second] = await open(2);
  const waiting = first!.collective().allGather(Uint8Array.of(1));
  waiting.catch(() => {});
  await second!.leave();
  await expect(waiting).rejects.toMatchObject({ code: "COLLECTIVE_MISMATCH" });
  groups = [];
  const [third] = await open(2, { timeoutSeconds: 0.05 });
  await expect(third!.collective().allGather(Uint8Array.of(1))).rejects.toMatchObject({
    ...{ code: "RANK_SILENT", message: expect.stringContaining("for rank 1") },
  });
  await first!.close();
});

test("ranks that leave leave nothing behind", async () => {
  const ranks = await open(2);
  await Promise.all(ranks.map((group) => group.collective().allGather(numbers(group.rank, 0))));
  await Promise.all(ranks.map((group) => group.leave()));
  expect(readdirSync(folder)).toEqual([]);
});

test("strangers and second ranks of a number are turned away", async () => {
  const [first] = await open(2);
  await expect(ProcessGroup.join(first!.address, 1)).rejects.toMatchObject({ code: "RANK_LOST" });
  await expect(ProcessGroup.join(first!.address, 7)).rejects.toMatchObject({ code: "RANK_LOST" });
  await expect(ProcessGroup.join(join(folder, "nothing"), 1)).rejects.toMatchObject({ code: "RANK_LOST" });
  const socket = connect(join(first!.address, "words"));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.write("no json\n");
  await closed;
  expect(first!.lost.aborted).toBe(false);
});
