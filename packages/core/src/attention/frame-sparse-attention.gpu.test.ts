/** Frame-sparse attention on real frame sizes: sampled against float64, and what it costs in memory. */
import type { Device } from "@lvsa/runtime";
import { relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AttentionPattern } from "../pattern/attention-pattern.js";
import { frameSparseAttention } from "./frame-sparse-attention.js";
import { FrameSparseLayout } from "./frame-sparse-layout.js";
import { attention } from "./kernel/attention.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const D = 32;

interface Sample {
  readonly patches: number;
  readonly frames: number;
  readonly text: number;
  readonly heads: number;
  readonly kvHeads: number;
}

/** Float64 from the definition, for one query of one head. */
function expected(
  s: Sample,
  numbers: Record<"q" | "k" | "v" | "tk" | "tv", Float32Array>,
  q: number,
  h: number,
) {
  return (attended: Iterable<number>): number[] => {
    const kv = Math.floor(h / (s.heads / s.kvHeads));
    const keys: [Float32Array, Float32Array, number][] = [];
    for (const f of attended)
      for (let p = 0; p < s.patches; p++) keys.push([numbers.k, numbers.v, f * s.patches + p]);
    for (let t = 0; t < s.text; t++) keys.push([numbers.tk, numbers.tv, t]);
    const scores = keys.map(([k, , token]) => {
      let dot = 0;
      for (let d = 0; d < D; d++)
        dot += numbers.q[(q * s.heads + h) * D + d]! * k[(token * s.kvHeads + kv) * D + d]!;
      return dot / Math.sqrt(D);
    });
    const top = scores.reduce((a, b) => Math.max(a, b));
    const weights = scores.map((score) => Math.exp(score - top));
    const total = weights.reduce((a, b) => a + b);
    return Array.from({ length: D }, (_, d) =>
      keys.reduce(
        (sum, [, v, token], i) => sum + (weights[i]! / total) * v[(token * s.kvHeads + kv) * D + d]!,
        0,
      ),
    );
  };
}

describe("sampled against float64: first and last query of every frame", () => {
  test.each([
    { patches: 1, frames: 9, text: 1, heads: 2, kvHeads: 1 },
    { patches: 13, frames: 9, text: 0, heads: 4, kvHeads: 2 },
    { patches: 37, frames: 7, text: 7, heads: 4, kvHeads: 1 },
    { patches: 60, frames: 6, text: 226, heads: 2, kvHeads: 2 },
    { patches: 1560, frames: 3, text: 7, heads: 1, kvHeads: 1 },
  ] satisfies Sample[])("%o", async (s) => {
    const tokens = s.patches * s.frames;
    const numbers = {
      q: seededNormal(tokens * s.heads * D, 1),
      k: seededNormal(tokens * s.kvHeads * D, 2),
      v: seededNormal(tokens * s.kvHeads * D, 3),
      tk: seededNormal(s.text * s.kvHeads * D, 4),
      tv: seededNormal(s.text * s.kvHeads * D, 5),
    };
    const pattern = AttentionPattern.build({
      frames: s.frames,
      patchesPerFrame: s.patches,
      window: 0,
      nFirstFrames: 1,
      keyframeInterval: 4,
      rotationOffset: 2,
    });
    const made = device.scope(() => {
      const upload = (data: Float32Array, n: number, h: number) => device.upload(data, [1, n, h, D]);
      const { output } = frameSparseAttention(device, {
        query: upload(numbers.q, tokens, s.heads),
        key: upload(numbers.k, tokens, s.kvHeads),
        value: upload(numbers.v, tokens, s.kvHeads),
        ...(s.text > 0
          ? {
              contextKey: upload(numbers.tk, s.text, s.kvHeads),
              contextValue: upload(numbers.tv, s.text, s.kvHeads),
            }
          : {}),
        pattern,
      });
      return output;
    });
    const got = await device.read(made);
    made.dispose();
    for (let f = 0; f < s.frames; f++) {
      for (const q of [f * s.patches, (f + 1) * s.patches - 1]) {
        const h = (q + f) % s.heads;
        const want = expected(s, numbers, q, h)(pattern.attendedFrames(f));
        // f32 sums of at most 5,000 terms.
        expect(relativeL2(got.subarray((q * s.heads + h) * D, (q * s.heads + h + 1) * D), want)).toBeLessThan(
          1e-5,
        );
      }
    }
  });
});

test("sparse attention takes the memory of dense attention and an index buffer, and gives all of it back", async () => {
  const [frames, patchesPerFrame] = [40, 32];
  const shape = [1, frames * patchesPerFrame, 2, D];
  const [query, key, value] = [1, 2, 3].map((seed) =>
    device.upload(seededNormal(frames * patchesPerFrame * 2 * D, seed), shape),
  ) as [never, never, never];
  const growth = async (body: () => void) => {
    await device.releaseMemory();
    device.resetPeakMemory();
    const before = device.memory();
    body();
    const { peakBytes, liveBytes } = device.memory();
    expect(liveBytes).toBe(before.liveBytes);
    return peakBytes - before.liveBytes;
  };
  const dense = await growth(() => attention(device, { query, key, value }).output.dispose());
  const sparse = await growth(() => {
    const layout = new FrameSparseLayout(device);
    // Rotating the keyframes over all steps rewrites one buffer.
    for (let rotationOffset = 0; rotationOffset < 8; rotationOffset++) {
      const options = { frames, patchesPerFrame, window: 3, nFirstFrames: 1, keyframeInterval: 8 };
      const pattern = AttentionPattern.build({ ...options, rotationOffset });
      frameSparseAttention(device, { query, key, value, pattern, layout }).output.dispose();
    }
    layout.dispose();
  });
  // 40 rows with a few ranges and 2 tiles each, in words of 4 bytes.
  expect(sparse - dense).toBeLessThan(8192);
  for (const t of [query, key, value] as { dispose(): void }[]) t.dispose();
});

test("tokens that are no whole number of the pattern's frames are an error with both counts", () => {
  const pattern = AttentionPattern.build({
    frames: 5,
    patchesPerFrame: 6,
    window: 1,
    nFirstFrames: 1,
    keyframeInterval: null,
  });
  const t = device.zeros([1, 31, 1, D]);
  expect(() => frameSparseAttention(device, { query: t, key: t, value: t, pattern })).toThrow(
    /31 tokens.*= 30/,
  );
  t.dispose();
});
