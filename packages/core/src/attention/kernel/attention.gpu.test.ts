/** The attention kernel against its float64 reference, with every rule that runs without special hardware. */
import type { Device } from "@lvsa/runtime";
import { canRun, maxAbsolute, relativeL2, seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attention } from "./attention.js";
import { attentionReference } from "./attention.reference.js";
import { attentionFamily } from "./attention.wgsl.js";
import { attentionCase } from "./attention-cases.js";
import { AttentionLayout, type AttentionRow } from "./attention-layout.js";

// f32 sums of at most a few thousand terms: 1e-5 leaves an order of magnitude over what is measured.
const F32 = 1e-5;
// Output rounded to f16 (2^-11) or bf16 (2^-8), relative L2.
const ROUNDED = { f32: F32, f16: 2e-3, bf16: 8e-3 } as const;

const rowsOf = (frames: number, patches: number, lists: readonly (readonly number[])[]): AttentionRow[] =>
  Array.from({ length: frames }, (_, f) => ({
    queryStart: f * patches,
    queryEnd: (f + 1) * patches,
    ranges: (lists[f % lists.length] ?? []).map((k) => [k * patches, (k + 1) * patches] as const),
  }));

// The rule is that of the machine where it can not run the one that is named: then the reason is printed.
describe.each(["tile", "lanes"])("attention, rule %s", (rule) => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
    if (!canRun(device, attentionFamily, rule)) return;
    device.dispose();
    device = await testDevice({ rules: { attention: rule } });
  });
  afterAll(() => device.dispose());

  const sizes = [
    { queries: 1, headDim: 4 },
    { queries: 5, keys: 1, headDim: 24 },
    { queries: 65, keys: 33, headDim: 32, heads: 2 },
    { queries: 64, keys: 100, headDim: 64, batch: 2, heads: 4, kvHeads: 2 },
    { queries: 37, keys: 70, headDim: 128, heads: 4, kvHeads: 1, context: 7 },
    { queries: 17, keys: 40, headDim: 80, context: 33, batch: 2 },
    { queries: 20, keys: 60, headDim: 256 },
    { queries: 20, keys: 60, headDim: 10, heads: 2, context: 5 },
    { queries: 9, keys: 11, headDim: 7 },
  ];
  test.each(sizes)("dense %o", async (size) => {
    const c = attentionCase(device, size);
    const { output, logSumExp } = attention(device, { ...c.tensors, returnLogSumExp: true });
    const want = attentionReference(c.reference);
    expect(relativeL2(await device.read(output), want.output)).toBeLessThan(F32);
    expect(maxAbsolute(await device.read(logSumExp!), want.logSumExp)).toBeLessThan(F32);
    for (const t of [output, logSumExp!]) t.dispose();
    c.dispose();
  });

  test.each(["f16", "bf16"] as const)("storage as %s, output f32 and as stored", async (dtype) => {
    const c = attentionCase(device, { queries: 50, keys: 70, heads: 2, headDim: 64, context: 9, dtype });
    const want = attentionReference(c.reference).output;
    const exact = attention(device, { ...c.tensors, outDtype: "f32" }).output;
    expect(relativeL2(await device.read(exact), want)).toBeLessThan(F32);
    const stored = attention(device, c.tensors).output;
    expect(stored.dtype).toBe(dtype);
    expect(relativeL2(await device.read(stored), want)).toBeLessThan(ROUNDED[dtype]);
    for (const t of [exact, stored]) t.dispose();
    c.dispose();
  });

  test.each([1, 13, 37, 60])("rows of %i queries with lists of frames", async (patches) => {
    const frames = 6;
    const lists = [[0, 1, 2], [5], [0, 2, 4], [], [3, 0, 5], [0, 1, 2, 3, 4, 5]];
    const rows = rowsOf(frames, patches, lists);
    const c = attentionCase(device, { queries: frames * patches, heads: 2, context: 7 });
    const layout = AttentionLayout.build(device, rows);
    const { output } = attention(device, { ...c.tensors, layout });
    const want = attentionReference({ ...c.reference, rows });
    expect(relativeL2(await device.read(output), want.output)).toBeLessThan(F32);
    output.dispose();
    layout.dispose();
    c.dispose();
  });

  test("a row without keys writes 0 and -1e30, into memory full of NaN", async () => {
    const rows: AttentionRow[] = [
      { queryStart: 0, queryEnd: 10, ranges: [] },
      { queryStart: 10, queryEnd: 20, ranges: [[0, 20]] },
    ];
    const c = attentionCase(device, { queries: 20 });
    const layout = AttentionLayout.build(device, rows);
    const out = device.upload(new Float32Array(20 * 32).fill(Number.NaN), [1, 20, 1, 32]);
    const { output, logSumExp } = attention(device, { ...c.tensors, layout, out, returnLogSumExp: true });
    const got = await device.read(output);
    expect(got.subarray(0, 320).every((v) => v === 0)).toBe(true);
    expect(got.every(Number.isFinite)).toBe(true);
    const lse = await device.read(logSumExp!);
    expect(lse.subarray(0, 10).every((v) => v === Math.fround(-1e30))).toBe(true);
    expect(relativeL2(got, attentionReference({ ...c.reference, rows }).output)).toBeLessThan(F32);
    for (const t of [out, logSumExp!]) t.dispose();
    layout.dispose();
    c.dispose();
  });

  test("NaN in keys and values that no query attends changes nothing, and every output is written", async () => {
    const patches = 21;
    const frames = 5;
    const rows = rowsOf(frames, patches, [
      [0, 2],
      [2, 4],
    ]);
    const c = attentionCase(device, { queries: frames * patches, heads: 2 });
    const layout = AttentionLayout.build(device, rows);
    const clean = attention(device, { ...c.tensors, layout }).output;
    const poison = (numbers: ArrayLike<number>) => {
      const data = Float32Array.from(numbers);
      const frame = patches * 2 * 32;
      for (const f of [1, 3]) data.fill(Number.NaN, f * frame, (f + 1) * frame);
      return device.upload(data, [1, frames * patches, 2, 32]);
    };
    const key = poison(c.reference.key);
    const value = poison(c.reference.value);
    const out = device.upload(new Float32Array(clean.size).fill(Number.NaN), clean.shape);
    attention(device, { query: c.tensors.query, key, value, layout, out });
    expect([...(await device.read(out))]).toEqual([...(await device.read(clean))]);
    for (const t of [clean, key, value, out]) t.dispose();
    layout.dispose();
    c.dispose();
  });

  test("the list of all frames is dense attention, bit for bit; so are permuted and split ranges", async () => {
    const patches = 30;
    const all = [0, 1, 2, 3];
    const c = attentionCase(device, { queries: 4 * patches, heads: 2, context: 5 });
    const dense = await device.read(attention(device, c.tensors).output);
    for (const lists of [[all], [[2, 0, 3, 1]]]) {
      const layout = AttentionLayout.build(device, rowsOf(4, patches, lists));
      const { output } = attention(device, { ...c.tensors, layout });
      expect([...(await device.read(output))]).toEqual([...dense]);
      output.dispose();
      layout.dispose();
    }
    c.dispose();
  });

  test("many small dispatches give the same bits as one", async () => {
    const rows = rowsOf(5, 50, [[0, 1], [2], [0, 1, 2, 3, 4]]);
    const c = attentionCase(device, { queries: 250, heads: 3, batch: 2 });
    const layout = AttentionLayout.build(device, rows);
    const one = attention(device, { ...c.tensors, layout }).output;
    for (const dispatchFlops of [1, 4e5, 4e6]) {
      const out = device.upload(new Float32Array(one.size).fill(Number.NaN), one.shape);
      attention(device, { ...c.tensors, layout, dispatchFlops, out });
      expect([...(await device.read(out))]).toEqual([...(await device.read(one))]);
      out.dispose();
    }
    one.dispose();
    layout.dispose();
    c.dispose();
  });

  test("a rewritten layout is used by the next call, not by the one recorded before", async () => {
    const c = attentionCase(device, { queries: 40 });
    const first = rowsOf(4, 10, [[0]]);
    const second = rowsOf(4, 10, [[1, 3]]);
    const layout = AttentionLayout.build(device, first);
    const a = attention(device, { ...c.tensors, layout }).output;
    layout.update(second);
    const b = attention(device, { ...c.tensors, layout }).output;
    for (const [got, rows] of [
      [a, first],
      [b, second],
    ] as const) {
      const want = attentionReference({ ...c.reference, rows }).output;
      expect(relativeL2(await device.read(got), want)).toBeLessThan(F32);
      got.dispose();
    }
    layout.dispose();
    c.dispose();
  });

  test("causal, with and without grouped queries", async () => {
    for (const size of [
      { queries: 75, heads: 2 },
      { queries: 33, heads: 4, kvHeads: 2, headDim: 64 },
    ]) {
      const c = attentionCase(device, size);
      const { output } = attention(device, { ...c.tensors, causal: true });
      const want = attentionReference({ ...c.reference, causal: true }).output;
      expect(relativeL2(await device.read(output), want)).toBeLessThan(F32);
      output.dispose();
      c.dispose();
    }
  });

  test("key masks: shared, per batch entry, with holes, and all masked", async () => {
    const keys = 45;
    const prefix = Uint8Array.from({ length: keys }, (_, i) => (i < 20 ? 1 : 0));
    const holes = Uint8Array.from({ length: keys }, (_, i) => (i % 7 < 3 ? 1 : 0));
    const none = new Uint8Array(keys);
    const c = attentionCase(device, { queries: 19, keys, batch: 2, heads: 2, context: 3 });
    for (const [a, b] of [
      [prefix, prefix],
      [prefix, holes],
      [none, holes],
    ] as const) {
      const keyMask = a === b ? a : Uint8Array.from([...a, ...b]);
      const { output } = attention(device, { ...c.tensors, keyMask });
      const sees = (entry: number, k: number) => (entry === 0 ? a : b)[k] === 1;
      const want = attentionReference({ ...c.reference, sees }).output;
      expect(relativeL2(await device.read(output), want)).toBeLessThan(F32);
      output.dispose();
    }
    c.dispose();
  });

  test("relative bias, unscaled as in T5, together with a causal mask and with a key mask", async () => {
    const c = attentionCase(device, { queries: 35, keys: 50, heads: 3, gain: 0.2 });
    const numbers = seededNormal(3 * 84, 9);
    const relativeBias = device.upload(numbers, [3, 84]);
    const keyMask = Uint8Array.from({ length: 50 }, (_, i) => (i < 41 ? 1 : 0));
    const got = attention(device, { ...c.tensors, relativeBias, scale: 1, keyMask }).output;
    const sees = (_: number, k: number) => k < 41;
    const reference = { ...c.reference, relativeBias: numbers, scale: 1 };
    expect(
      relativeL2(await device.read(got), attentionReference({ ...reference, sees }).output),
    ).toBeLessThan(F32);
    const causal = attention(device, { ...c.tensors, relativeBias, scale: 1, causal: true }).output;
    const want = attentionReference({ ...reference, causal: true }).output;
    expect(relativeL2(await device.read(causal), want)).toBeLessThan(F32);
    for (const t of [got, causal, relativeBias]) t.dispose();
    c.dispose();
  });

  test("large logits (x30) and constant rows stay exact", async () => {
    const c = attentionCase(device, { queries: 80, keys: 90, headDim: 64, gain: 30 });
    const { output } = attention(device, c.tensors);
    // Scores up to a few hundred carry an f32 rounding of 3e-5 each, which the exponential passes on.
    expect(relativeL2(await device.read(output), attentionReference(c.reference).output)).toBeLessThan(1e-4);
    const ones = device.upload(new Float32Array(90 * 64).fill(1), [1, 90, 1, 64]);
    const flat = attention(device, { query: c.tensors.query, key: ones, value: ones }).output;
    expect(maxAbsolute(await device.read(flat), new Float32Array(80 * 64).fill(1))).toBeLessThan(1e-6);
    for (const t of [output, ones, flat]) t.dispose();
    c.dispose();
  });

  test("f16 tiles on devices that compute in f16", async () => {
    if (rule !== "tile") return;
    if (!device.info.f16) {
      console.warn("skipped: f16 tiles, the adapter has no shader-f16");
      return;
    }
    const half = device;
    const rows = rowsOf(4, 21, [[0, 3], [1]]);
    const layout = AttentionLayout.build(half, rows);
    for (const headDim of [24, 64, 128]) {
      const size = { queries: 84, heads: 2, kvHeads: 1, headDim, context: 5, dtype: "f16" } as const;
      const c = attentionCase(half, size);
      const { output } = attention(half, { ...c.tensors, layout, outDtype: "f32", rule: "tile-f16" });
      const want = attentionReference({ ...c.reference, rows }).output;
      // Nothing is rounded to f16: the tiles hold what is stored, sums are f32.
      expect(relativeL2(await half.read(output), want)).toBeLessThan(F32);
      output.dispose();
      c.dispose();
    }
    layout.dispose();
  });

  test("wrong shapes are told with numbers", () => {
    const c = attentionCase(device, { queries: 8, heads: 2 });
    const other = device.zeros([1, 8, 3, 32]);
    expect(() => attention(device, { ...c.tensors, key: other, value: other })).toThrow(
      /2 query heads over 3/,
    );
    const layout = AttentionLayout.build(device, [{ queryStart: 0, queryEnd: 9, ranges: [[0, 8]] }]);
    expect(() => attention(device, { ...c.tensors, layout })).toThrow(/query 9.*there are 8/);
    other.dispose();
    c.dispose();
  });
});
