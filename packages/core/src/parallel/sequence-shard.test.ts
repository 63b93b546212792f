/** What ranks of a clip exchange, counted on devices that compute nothing: no frame that nobody's queries see. */
import { countingGpu } from "@lvsa/runtime";
import { expect, test } from "vitest";
import { AttentionPattern } from "../pattern/attention-pattern.js";
import type { Collective } from "./collective.js";
import { type RecordExchange, SequenceShard } from "./sequence-shard.js";
import { shareFrames } from "./share-frames.js";

const P = 6;
const FRAMES = 23;
const HEADS = 2;
const HEAD_DIM = 8;

const sumOf = (tensors: readonly { readonly byteLength: number }[]) =>
  tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Frames of keys that a rank gives and takes in a layer. */
function exchanged(rank: number, worldSize: number, dtype: "f32" | "f16", pattern?: AttentionPattern) {
  using device = countingGpu().device;
  const frameBytes = P * HEADS * HEAD_DIM * (dtype === "f16" ? 2 : 4);
  const seen: { given: number; taken: number }[] = [];
  const record: RecordExchange = (_, from, to) => {
    seen.push({ given: sumOf(from), taken: sumOf(to) });
  };
  const collective: Collective = { rank, worldSize, allGather: async () => [] };
  const geometry = { latentFrames: FRAMES, height: 2, width: 3, patchesPerFrame: P };
  const shard = new SequenceShard(collective, geometry, { record });
  const own = () => device.empty([1, shard.tokens, HEADS, HEAD_DIM], dtype);
  shard.keys(device, { key: own(), value: own() }, pattern);
  expect(seen).toHaveLength(1);
  return { given: seen[0]!.given / frameBytes / 2, taken: seen[0]!.taken / frameBytes / 2 };
}

test.each([2, 3, 5])("%i ranks give the frames that others see, each once", (worldSize) => {
  const shares = shareFrames(FRAMES, worldSize);
  for (const rotationOffset of [0, 3]) {
    const pattern = AttentionPattern.build({
      ...{ frames: FRAMES, patchesPerFrame: P, window: 2, nFirstFrames: 1, keyframeInterval: 9 },
      rotationOffset,
    });
    const seenBy = shares.map(({ first, end }) => {
      const rows = Array.from({ length: end - first }, (_, i) => [...pattern.attendedFrames(first + i)]);
      return new Set(rows.flat());
    });
    for (const [rank, { first, end }] of shares.entries()) {
      const isOwn = (frame: number) => first <= frame && frame < end;
      const others = seenBy.filter((_, other) => other !== rank);
      const wanted = new Set(others.flatMap((seen) => [...seen].filter(isOwn)));
      const needed = [...seenBy[rank]!].filter((frame) => !isOwn(frame));
      const { given, taken } = exchanged(rank, worldSize, "f32", pattern);
      expect(given).toBe(wanted.size);
      expect(taken).toBe(needed.length);
      expect(taken).toBeLessThan(FRAMES - (end - first));
    }
  }
});

test("without a pattern all frames go to all, and as few bytes as tensors are stored in", () => {
  const [{ first, end }] = shareFrames(FRAMES, 3) as [{ first: number; end: number }];
  const all = { given: end - first, taken: FRAMES - (end - first) };
  expect(exchanged(0, 3, "f32")).toEqual(all);
  // In units of frames of f16, half the bytes.
  expect(exchanged(0, 3, "f16")).toEqual(all);
});
