/** Attention by subgroup matrices against its float64 reference. Needs a GPU; elsewhere its shaders are compiled. */

import type { Device } from "@lvsa/runtime";
import { canRun, maxAbsolute, relativeL2, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttentionLayout, type AttentionRow, attention } from "../../index.js";
import { attentionReference } from "./attention.reference.js";
import { attentionFamily } from "./attention.wgsl.js";
import { attentionCase } from "./attention-cases.js";

/** Weights are rounded to f16, 2^-11 at most and 2^-12.8 in the mean, before they are multiplied; sums are f32. */
const WEIGHTS = 4e-4;

let device: Device;
let able: boolean;
beforeAll(async () => {
  device = await testDevice();
  able = canRun(device, attentionFamily, "matrix-f16");
});
afterAll(() => device.dispose());

const rule = "matrix-f16";
const f16 = { dtype: "f16" } as const;
const exactly = { rule, outDtype: "f32", returnLogSumExp: true } as const;

const sizes = [
  { queries: 32, keys: 1, headDim: 32 },
  { queries: 33, keys: 31, headDim: 48, heads: 2 },
  { queries: 64, keys: 32, headDim: 64 },
  { queries: 65, keys: 100, headDim: 80, batch: 2, heads: 4, kvHeads: 2 },
  { queries: 100, keys: 333, headDim: 96, heads: 4, kvHeads: 1 },
  { queries: 130, keys: 65, headDim: 112, context: 7 },
  { queries: 200, keys: 257, headDim: 128, heads: 2, context: 33, batch: 2 },
] as const;

test.each(sizes)("dense %o", async (size) => {
  if (!able) return;
  const c = attentionCase(device, { ...size, ...f16 });
  const { output, logSumExp } = attention(device, { ...c.tensors, ...exactly });
  const want = attentionReference(c.reference);
  expect(relativeL2(await device.read(output), want.output)).toBeLessThan(WEIGHTS);
  // The sum of weights is not rounded.
  expect(maxAbsolute(await device.read(logSumExp!), want.logSumExp)).toBeLessThan(1e-5);
  for (const t of [output, logSumExp!]) t.dispose();
  c.dispose();
});

test.each([1, 13, 37, 60, 130])("rows of %i queries with lists of frames", async (patches) => {
  if (!able) return;
  const frames = 6;
  const lists = [[0, 1, 2], [5], [0, 2, 4], [], [3, 0, 5], [0, 1, 2, 3, 4, 5]];
  const rows: AttentionRow[] = Array.from({ length: frames }, (_, f) => ({
    queryStart: f * patches,
    queryEnd: (f + 1) * patches,
    ranges: lists[f]!.map((k) => [k * patches, (k + 1) * patches] as const),
  }));
  const layout = AttentionLayout.build(device, rows);
  for (const context of [0, 7]) {
    // Enough queries in all that the rule fits, however short the rows are.
    const c = attentionCase(device, {
      queries: Math.max(32, frames * patches),
      headDim: 64,
      context,
      ...f16,
    });
    const { output, logSumExp } = attention(device, { ...c.tensors, ...exactly, layout });
    const want = attentionReference({ ...c.reference, rows });
    const written = frames * patches;
    const got = (await device.read(output)).subarray(0, written * 64);
    expect(relativeL2(got, want.output.subarray(0, written * 64))).toBeLessThan(WEIGHTS);
    const lse = (await device.read(logSumExp!)).subarray(0, written);
    const seen = lse.filter((v) => v > -1e29);
    expect(
      maxAbsolute(
        seen,
        want.logSumExp.subarray(0, written).filter((v) => v > -1e29),
      ),
    ).toBeLessThan(1e-5);
    if (context === 0) {
      const empty = got.subarray(3 * patches * 64, 4 * patches * 64);
      expect(empty.every((v) => v === 0)).toBe(true);
      expect(seen.length).toBe(written - patches);
    }
    for (const t of [output, logSumExp!]) t.dispose();
    c.dispose();
  }
  layout.dispose();
});

test("key masks", async () => {
  if (!able) return;
  const keys = 90;
  const mask = Uint8Array.from({ length: 2 * keys }, (_, i) => Number((i * 7) % 11 < 6));
  const c = attentionCase(device, { batch: 2, queries: 50, keys, headDim: 64, ...f16 });
  const { output } = attention(device, { ...c.tensors, rule, outDtype: "f32", keyMask: mask });
  const sees = (b: number, k: number) => mask[b * keys + k] === 1;
  const want = attentionReference({ ...c.reference, sees });
  expect(relativeL2(await device.read(output), want.output)).toBeLessThan(WEIGHTS);
  output.dispose();
  c.dispose();
});

test("NaN in keys and values that no query attends changes nothing", async () => {
  if (!able) return;
  const [patches, frames, D] = [40, 5, 128];
  const rows: AttentionRow[] = Array.from({ length: frames }, (_, f) => ({
    queryStart: f * patches,
    queryEnd: (f + 1) * patches,
    ranges: [0, 2, 4].map((k) => [k * patches, (k + 1) * patches] as const),
  }));
  const c = attentionCase(device, { queries: frames * patches, headDim: D, ...f16 });
  const layout = AttentionLayout.build(device, rows);
  const poison = (numbers: ArrayLike<number>) => {
    const data = Float32Array.from(numbers);
    for (const f of [1, 3]) data.fill(Number.NaN, f * patches * D, (f + 1) * patches * D);
    return device.upload(data, [1, frames * patches, 1, D], "f16");
  };
  const [key, value] = [poison(c.reference.key), poison(c.reference.value)];
  const results = [c.tensors, { ...c.tensors, key, value }].map(
    (tensors) => attention(device, { ...tensors, rule, layout }).output,
  );
  const [clean, poisoned] = [await device.read(results[0]!), await device.read(results[1]!)];
  expect([...poisoned]).toEqual([...clean]);
  for (const t of [key, value, ...results]) t.dispose();
  layout.dispose();
  c.dispose();
});

test("scores that grow along the keys: outputs are scaled on the way", async () => {
  if (!able) return;
  const size = { queries: 80, keys: 300, headDim: 64, heads: 2, ...f16 };
  const c = attentionCase(device, { ...size, gain: 8 });
  // Each key is a little larger than the one before: the maximum outgrows the lag again and again.
  const grown = Float32Array.from(c.reference.key, (v, i) => v * (0.1 + Math.floor(i / 128) / 100));
  const key = device.upload(grown, [1, 300, 2, 64], "f16");
  const stored = await device.read(key);
  const { output } = attention(device, { ...c.tensors, key, rule, outDtype: "f32" });
  const want = attentionReference({ ...c.reference, key: stored });
  expect(relativeL2(await device.read(output), want.output)).toBeLessThan(WEIGHTS);
  for (const t of [output, key]) t.dispose();
  c.dispose();
});

test.each(["f32", "bf16"] as const)("%s operands are rounded to f16", async (dtype) => {
  if (!able) return;
  for (const queries of [90, 300]) {
    const c = attentionCase(device, { queries, keys: 120, heads: 2, headDim: 64, context: 9, dtype });
    const { output } = attention(device, { ...c.tensors, rule, outDtype: "f32" });
    // Scores of size 1 to 3 are off by 2^-11 of their parts, weights by as much. Of few queries operands are rounded while
    // they are staged, of many before.
    expect(relativeL2(await device.read(output), attentionReference(c.reference).output)).toBeLessThan(2e-3);
    output.dispose();
    c.dispose();
  }
});

test("split into dispatches gives the same bits", async () => {
  if (!able) return;
  const c = attentionCase(device, { queries: 300, keys: 200, heads: 3, headDim: 64, ...f16 });
  const whole = attention(device, { ...c.tensors, rule }).output;
  const split = attention(device, { ...c.tensors, rule, dispatchFlops: 4 * 64 * 200 * 64 * 2 }).output;
  expect(await device.read(split)).toEqual(await device.read(whole));
  for (const t of [whole, split]) t.dispose();
  c.dispose();
});
