/** The matrix kernel computes attention by every product: on matrices where the device has them, else emulated. */
import { type Device, F16_16X16X16, hasRoom, type MatrixProduct } from "@lvsa/runtime";
import { maxAbsolute, relativeL2 } from "@lvsa/runtime/testing";
import { matrixTestDevice } from "@lvsa/runtime/testing/emulate-matrices";
import { poisonMemory } from "@lvsa/runtime/testing/poison";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AttentionInput, AttentionLayout, type AttentionRow, attention } from "../../index.js";
import { attentionReference, type ReferenceAttention } from "./attention.reference.js";
import { attentionCase, type CaseSize } from "./attention-cases.js";
import { type MatrixAttention, matrixAttentionNeeds } from "./attention-matrix.wgsl.js";
import { matrixAttentions } from "./attention-variant.js";

/**
 * Weights are rounded to f16, 2^-11 at most and 2^-12.8 in the mean, before they are multiplied; sums are f32. With matrices of
 * f32 nothing is rounded but sums and exponentials, whose arguments of up to 30 are good to 2^-20.
 */
const allowed = ({ component }: MatrixProduct) => (component === "f16" ? 4e-4 : 2e-6);

/**
 * What devices multiply. A processor compiles an emulated shader for seconds, so that heads are narrow, cases of a product share
 * a text where they can, and `whole` (an arrangement that does not split, for the width beside it) is tried once per shape.
 */
const products: readonly {
  readonly name: string;
  readonly product: MatrixProduct;
  readonly whole?: number;
}[] = [
  { name: "NVIDIA", product: F16_16X16X16, whole: 48 },
  { name: "AMD, 64 lanes", product: { ...F16_16X16X16, lanes: 64 } },
  { name: "Intel, 16 lanes", product: { component: "f16", m: 8, n: 16, k: 16, lanes: 16 }, whole: 48 },
  {
    name: "Intel, 32 lanes, asked for",
    product: { component: "f16", m: 8, n: 16, k: 16, lanes: 32, asksForLanes: true },
  },
  { name: "Apple", product: { component: "f32", m: 8, n: 8, k: 8, lanes: 32 }, whole: 40 },
];

interface Given {
  readonly rows?: readonly AttentionRow[];
  readonly input?: Partial<AttentionInput>;
  readonly reference?: Partial<ReferenceAttention>;
}

describe.each(products)("$name", ({ product, whole }) => {
  let device: Device | undefined;
  beforeAll(async () => {
    device = await matrixTestDevice({}, product);
  });
  // Fails where something was written behind a buffer's end.
  afterAll(() => device?.dispose());

  /** The first arrangement that there is room for: what the rule takes. */
  function arrangementFor(headDim: number): MatrixAttention {
    const fits = (o: MatrixAttention) => hasRoom(device!.info, matrixAttentionNeeds(headDim, o));
    return matrixAttentions(product, headDim).find(fits)!;
  }

  async function isRight(size: CaseSize, { rows, input, reference }: Given): Promise<void> {
    const c = attentionCase(device!, { dtype: product.component, ...size });
    const layout = rows && AttentionLayout.build(device!, rows);
    const { output, logSumExp } = attention(device!, {
      ...c.tensors,
      ...(layout ? { layout } : {}),
      ...input,
      variant: { kind: "matrix", ...arrangementFor(size.headDim!) },
      outDtype: "f32",
      returnLogSumExp: true,
    });
    const want = attentionReference({ ...c.reference, ...(rows ? { rows } : {}), ...reference });
    expect(relativeL2(await device!.read(output), want.output)).toBeLessThan(allowed(product));
    // -1e30, where nothing is seen, is another number in f32 than in f64. The sum of weights is not rounded, and scores are
    // good to 2^-21 of themselves.
    const finite = (values: ArrayLike<number>) => Array.from(values, (v) => Math.max(v, -1e9));
    const highest = Math.max(...finite(want.logSumExp));
    expect(maxAbsolute(finite(await device!.read(logSumExp!)), finite(want.logSumExp))).toBeLessThan(
      1e-5 + Math.max(0, highest) * 2 ** -21,
    );
    for (const t of [output, logSumExp!, layout]) t?.dispose();
    c.dispose();
  }

  /** Every query sees the keys up to `keys`, and so many of the context. */
  const all = (queries: number, keys: number, contextEnd: number): AttentionRow[] => [
    { queryStart: 0, queryEnd: queries, ranges: [[0, keys]], contextEnd },
  ];
  const headDim = 32;

  test.each([
    { queries: 32, keys: 1, seen: 0 },
    { queries: 33, keys: 31, heads: 2, seen: 1 },
    { queries: 130, keys: 70, batch: 2, heads: 4, kvHeads: 2, context: 18, seen: 17 },
  ])("dense %o", async ({ seen, ...size }) => {
    if (!device) return;
    await isRight({ context: 1, headDim, ...size }, { rows: all(size.queries, size.keys, seen) });
  });

  const patches = 37;
  const frames = [[0, 1], [3], [0, 2], []].map(
    (list, f): AttentionRow => ({
      queryStart: f * patches,
      queryEnd: (f + 1) * patches,
      ranges: list.map((k) => [k * patches, (k + 1) * patches] as const),
    }),
  );
  const ofFrames = { queries: 4 * patches, heads: 2, kvHeads: 1, context: 7, gain: 6 };
  test.each([0, 3, 7])("rows with lists of frames, and %i context tokens", async (contextEnd) => {
    if (!device) return;
    // A row that sees nothing stays 0.
    await isRight({ ...ofFrames, headDim }, { rows: frames.map((row) => ({ ...row, contextEnd })) });
  });

  test("what no row has stays as it is", async () => {
    if (!device) return;
    const [queries, heads] = [100, 2];
    // Tiles of both rows end in the middle, and nothing else writes behind them.
    const rows: AttentionRow[] = [
      { queryStart: 0, queryEnd: patches, ranges: [[0, 40]], contextEnd: 3 },
      { queryStart: 60, queryEnd: 60 + patches, ranges: [[40, 80]] },
    ];
    const c = attentionCase(device, { queries, heads, headDim, context: 3, dtype: product.component });
    const layout = AttentionLayout.build(device, rows);
    const out = device.upload(new Float32Array(queries * heads * headDim).fill(7), [
      1,
      queries,
      heads,
      headDim,
    ]);
    poisonMemory(device, [1, queries, heads]);
    const { logSumExp } = attention(device, {
      ...{ ...c.tensors, layout, out, returnLogSumExp: true },
      variant: { kind: "matrix", ...arrangementFor(headDim) },
    });
    const [got, sums] = [await device.read(out), await device.read(logSumExp!)];
    for (const [start, end] of [
      [patches, 60],
      [60 + patches, queries],
    ] as const) {
      expect([...new Set(got.subarray(start * heads * headDim, end * heads * headDim))]).toEqual([7]);
      expect([...new Set(sums.subarray(start * heads, end * heads))]).toEqual([Number.NaN]);
    }
    expect(sums.filter(Number.isFinite).length).toBe(2 * patches * heads);
    for (const t of [out, logSumExp!, layout]) t.dispose();
    c.dispose();
  });

  test("key masks", async () => {
    if (!device) return;
    const keys = 90;
    const keyMask = Uint8Array.from({ length: 2 * keys }, (_, i) => Number((i * 7) % 11 < 6));
    const sees = (b: number, k: number) => keyMask[b * keys + k] === 1;
    await isRight(
      { batch: 2, queries: 34, keys, headDim, context: 2 },
      { input: { keyMask }, reference: { sees } },
    );
  });

  test("NaN in keys and values that no query attends changes nothing", async () => {
    if (!device) return;
    const size = { ...ofFrames, heads: 1, headDim, dtype: product.component };
    const c = attentionCase(device, size);
    const rows = frames.map((row) => ({ ...row, ranges: [frames[0]!.ranges[0]!, frames[2]!.ranges[1]!] }));
    const layout = AttentionLayout.build(device, rows);
    const poisoned = (numbers: ArrayLike<number>) => {
      const data = Float32Array.from(numbers);
      for (const f of [1, 3]) data.fill(Number.NaN, f * patches * headDim, (f + 1) * patches * headDim);
      return device!.upload(data, [1, 4 * patches, 1, headDim], product.component);
    };
    const [key, value] = [poisoned(c.reference.key), poisoned(c.reference.value)];
    const results = [c.tensors, { ...c.tensors, key, value }].map(
      (tensors) =>
        attention(device!, {
          ...{ ...tensors, layout, outDtype: "f32", returnLogSumExp: true },
          // By its name, so that it is the rule that takes the arrangement.
          rule: `matrix-${product.component}`,
        }).output,
    );
    const [clean, other] = [await device.read(results[0]!), await device.read(results[1]!)];
    expect([...other]).toEqual([...clean]);
    expect(relativeL2(clean, attentionReference({ ...c.reference, rows }).output)).toBeLessThan(
      allowed(product),
    );
    for (const t of [key, value, ...results, layout]) t.dispose();
    c.dispose();
  });

  test("scores that grow along the keys: outputs are scaled on the way", async () => {
    if (!device) return;
    const size = { queries: 40, keys: 150, headDim, heads: 2, context: 3, gain: 8 };
    const c = attentionCase(device, { ...size, dtype: product.component });
    // Each key is a little larger than the one before: the maximum outgrows the lag again and again.
    const grown = Float32Array.from(c.reference.key, (v, i) => v * (0.1 + Math.floor(i / 64) / 50));
    const key = device.upload(grown, [1, 150, 2, headDim], product.component);
    await isRight(size, {
      rows: all(40, 150, 3),
      input: { key },
      reference: { key: await device.read(key) },
    });
    key.dispose();
    c.dispose();
  });

  if (!whole) return;
  test("widths that do not split, dense without rows; operands of f32 products as they are stored", async () => {
    if (!device) return;
    expect(arrangementFor(whole).split).toBeUndefined();
    const stored = product.component === "f32" ? "bf16" : "f16";
    // Of many queries f16 products take rounded copies, f32 products what there is.
    await isRight({ queries: 260, keys: 45, headDim: whole, heads: 2, kvHeads: 1, dtype: stored }, {});
  });
});
