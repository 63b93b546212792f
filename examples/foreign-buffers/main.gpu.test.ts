import { expect, test } from "vitest";
import { main } from "./main.js";

/** One output of the definition: query `q` of head `h` over the frames that its frame attends to. */
function expected(q: number, h: number, attended: readonly number[]): number[] {
  const at = (step: number, token: number, heads: number, head: number) =>
    Array.from({ length: 64 }, (_, d) => Math.fround(Math.sin(((token * heads + head) * 64 + d) * step)));
  const query = at(0.31, q, 4, h);
  const keys = attended.flatMap((f) => Array.from({ length: 128 }, (_, p) => f * 128 + p));
  const head = Math.floor(h / 2);
  const weights = keys.map((k) =>
    Math.exp(at(0.17, k, 2, head).reduce((s, x, d) => s + x * query[d]!, 0) / 8),
  );
  const total = weights.reduce((s, w) => s + w, 0);
  return Array.from({ length: 64 }, (_, d) =>
    keys.reduce((s, k, i) => s + (weights[i]! / total) * at(0.23, k, 2, head)[d]!, 0),
  );
}

test("a foreign device and foreign buffers give frame-sparse attention", async () => {
  const { density, output } = await main();
  // Leading frame, keyframes 0, 6 and 12, and 5 frames around each query that are none of these.
  expect(density).toBeCloseTo(8 / 16, 10);
  const row = (q: number, h: number) => [...output.subarray((q * 4 + h) * 64, (q * 4 + h + 1) * 64)];
  for (const { q, h, frames } of [
    { q: 9 * 128 + 5, h: 3, frames: [0, 6, 7, 8, 9, 10, 11, 12] },
    { q: 0, h: 0, frames: [0, 1, 2, 3, 4, 5, 6, 12] },
  ]) {
    const want = expected(q, h, frames);
    row(q, h).forEach((value, d) => {
      expect(Math.abs(value - want[d]!)).toBeLessThan(1e-5); // f32 sums of a thousand terms
    });
  }
});
