/** Ranks on one device: what they exchange, and what happens when they disagree. */
import { type Device, slice } from "@lvsa/runtime";
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { frameSparseAttention } from "../attention/frame-sparse-attention.js";
import { AttentionPattern } from "../pattern/attention-pattern.js";
import { LocalCollective } from "./collective.js";
import { contextParallelAttention, gatherGlobalTokens } from "./context-parallel-attention.js";

describe("context parallelism on one device", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  // 7 frames of 6 tokens over 3 ranks: 14 tokens each, so frames 2 and 4 are split.
  const geometry = { frames: 7, patchesPerFrame: 6, window: 1, nFirstFrames: 1, keyframeInterval: 3 };
  const patternOf = (rank: number, worldSize: number) =>
    AttentionPattern.build({ ...geometry, rank, worldSize });

  test("gathers the global frames in order, whole, also where ranks split them", async () => {
    const tokens = 42;
    const numbers = Float32Array.from({ length: 2 * tokens * 4 }, (_, i) => i);
    const clip = device.upload(numbers, [2, tokens, 1, 4]);
    const before = device.memory().liveTensors;
    const got = await LocalCollective.run(3, async (collective) => {
      const pattern = patternOf(collective.rank, 3);
      const own = slice(device, clip, 1, pattern.firstToken, pattern.firstToken + pattern.localTokens);
      const gathered = await gatherGlobalTokens(device, collective, pattern, own);
      const read = await device.read(gathered!);
      own.dispose();
      gathered!.dispose();
      return [...read];
    });
    const want = [0, 1].flatMap((b) =>
      patternOf(0, 3).globalFrames.flatMap((f) => [
        ...numbers.subarray((b * tokens + f * 6) * 4, (b * tokens + (f + 1) * 6) * 4),
      ]),
    );
    for (const rank of got) expect(rank).toEqual(want);
    expect(device.memory().liveTensors).toBe(before);
    clip.dispose();
  });

  test("when every frame is global, ranks together give the same as one device", async () => {
    const options = { frames: 6, patchesPerFrame: 5, window: 0, nFirstFrames: 0, keyframeInterval: 1 };
    const [q, k, v] = [1, 2, 3].map((seed) =>
      device.upload(seededNormal(30 * 2 * 32, seed), [1, 30, 2, 32]),
    ) as [never, never, never];
    const input = { query: q, key: k, value: v };
    const whole = frameSparseAttention(device, { ...input, pattern: AttentionPattern.build(options) }).output;
    const parts = await LocalCollective.run(2, async (collective) => {
      const pattern = AttentionPattern.build({ ...options, rank: collective.rank, worldSize: 2 });
      const shard = (t: never) =>
        slice(device, t, 1, pattern.firstToken, pattern.firstToken + pattern.localTokens);
      const own = { query: shard(q), key: shard(k), value: shard(v), pattern };
      const { output } = await contextParallelAttention(device, collective, own);
      return [...(await device.read(output))];
    });
    expect(relativeL2(parts.flat(), await device.read(whole))).toBeLessThan(1e-6);
  });

  test("a rank that gathers less often than the others is an error, not a wait without end", async () => {
    const run = LocalCollective.run(2, async (collective) => {
      if (collective.rank === 0) await collective.allGather(new Uint8Array());
    });
    await expect(run).rejects.toThrow(/rank 1 of 2 gathered 0 times/);
    const late = LocalCollective.run(2, async (collective) => {
      await collective.allGather(new Uint8Array());
      if (collective.rank === 1) await collective.allGather(new Uint8Array());
    });
    await expect(late).rejects.toThrow(/rank 0 of 2 gathered 1 times/);
  });

  test("a length that ranks can not share names lengths that work", () => {
    expect(() =>
      AttentionPattern.build({ ...geometry, frames: 8, patchesPerFrame: 5, worldSize: 3 }),
    ).toThrow(expect.objectContaining({ fix: expect.stringMatching(/6 or 9 latent frames/) }));
  });
});
