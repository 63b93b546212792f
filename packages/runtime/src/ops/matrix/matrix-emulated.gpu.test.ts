/** Products by subgroup matrices, in every arrangement of the tile: on matrices where the device has them, else emulated. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeGguf, openGguf } from "../../gguf.js";
import {
  cast,
  convOperandDType,
  convWeightDType,
  type Device,
  decodeFloats,
  encodeFloats,
  memorySource,
  packConvWeight,
  uploadPacked,
  widen,
} from "../../index.js";
import { matrixTestDevice } from "../../testing/emulate-matrices.js";
import { relativeL2, seededNormal } from "../../testing.js";
import { convMatrixTiles } from "../conv/conv-variant.js";
import { conv3d } from "../conv/conv3d.js";
import { linear } from "../linear/linear.js";
import { linearReference } from "../linear/linear.reference.js";
import { FEW_ROWS_MATRIX_TILES, linearMatrixTiles } from "../linear/linear-variant.js";
import { F16_16X16X16, type MatrixProduct, type MatrixTile, matrixBytes } from "./matrix-tile.wgsl.js";

/**
 * f16 operands are given: only sums in another order differ. Real matrices drop bits of sums where an emulation rounds:
 * 1e-6 for sums of 1536 products on an NVIDIA H200, 6e-6 for 8960.
 */
const SUMS = () => (device?.info.hardware === "gpu" ? 3e-6 : 1e-6);

let device: Device | undefined;
beforeAll(async () => {
  device = await matrixTestDevice();
});
afterAll(() => device?.dispose());

const halves = (count: number, seed: number, gain = 1) =>
  decodeFloats(encodeFloats(seededNormal(count, seed, gain), "f16"), "f16");

const tiles: readonly MatrixTile[] = [
  { tileM: 64, tileN: 64, subgroupsM: 2, subgroupsN: 2 },
  { tileM: 32, tileN: 32, subgroupsM: 2, subgroupsN: 1, step: 64 },
  FEW_ROWS_MATRIX_TILES[0]!,
];

test.each(tiles)("linear %o", async (tile) => {
  if (device) await linearIsRight(device, tile);
});

async function linearIsRight(device: Device, tile: MatrixTile): Promise<void> {
  expect(matrixBytes(tile)).toBeLessThanOrEqual(device.info.limits.maxComputeWorkgroupStorageSize);
  for (const { M, N, K, whole } of [
    { M: 70, N: 76, K: 40, whole: false },
    { M: 9, N: 36, K: 72, whole: false },
    { M: 65, N: 130, K: 192, whole: true },
  ]) {
    const x = halves(M * K, 1);
    const weight = halves(N * K, 2, 1 / Math.sqrt(K));
    const bias = seededNormal(N, 3);
    // Behind the rows that are written lie others, which nobody writes.
    const all = device.upload(new Float32Array((M + 2) * N).fill(7), [M + 2, N]);
    const out = all.rows(0, M);
    device.scope(() =>
      linear(device, device.upload(x, [M, K], "f16"), device.upload(weight, [N, K], "f16"), {
        bias: device.upload(bias, [N]),
        out,
        tuning: { variant: { kind: "matrix", ...tile, ...(whole ? { whole } : {}) } },
      }),
    );
    const got = (await device.read(all)) as Float32Array;
    const want = linearReference({ M, N, K, x, weight, bias } as Parameters<typeof linearReference>[0]);
    expect(relativeL2(got.subarray(0, M * N), want)).toBeLessThan(SUMS());
    expect([...new Set(got.subarray(M * N))]).toEqual([7]);
    out.dispose();
    all.dispose();
  }
}

test("convolutions read f16: what is stored so, or rounded once, gives the same bits", async () => {
  if (!device) return;
  const [frames, height, width, I, O] = [1, 7, 9, 24, 3];
  const places = { padding: { time: [0, 0], height: [1, 1], width: [1, 1] } } as const;
  const bits = async (once: boolean) => {
    const make = (shape: number[], seed: number) =>
      device!.upload(
        seededNormal(
          shape.reduce((a, b) => a * b, 1),
          seed,
        ),
        shape,
      );
    const plain = [make([1, frames, height, width, I], 1), make([1, 2, height, width, I], 2)];
    const raw = make([O, I, 3, 3, 3], 3);
    const weight = packConvWeight(device!, raw, once ? { dtype: convWeightDType(device!, raw) } : {});
    const read = convOperandDType(device!, plain[0]!.shape, "f32", weight, places);
    expect(read).toBe("f16");
    const [x, history] = plain.map((t) => (once ? cast(device!, t, read) : t));
    const results: Float32Array[] = [];
    for (let call = 0; call < 2; call++) {
      const y = conv3d(device!, x!, weight, { ...places, history: history!, outDtype: "f32" });
      results.push((await device!.read(y)) as Float32Array);
      y.dispose();
    }
    expect(weight.packed.dtype).toBe(once ? "f16" : "f32");
    for (const t of new Set([...plain, x!, history!, raw, weight])) t.dispose();
    expect(results[1]).toEqual(results[0]);
    return results[0]!;
  };
  const plain = await bits(false);
  expect(await bits(true)).toEqual(plain);
  expect(plain.every(Number.isFinite)).toBe(true);
});

test.each([tiles[1]!])("conv3d %o", async (tile) => {
  if (device) await convIsRight(device, tile);
});

async function convIsRight(device: Device, tile: MatrixTile): Promise<void> {
  const [frames, height, width, I, O] = [2, 7, 9, 40, 36];
  const run = (variant: object | undefined) =>
    device.scope(() => {
      const x = device.upload(halves(frames * height * width * I, 1), [1, frames, height, width, I], "f16");
      const history = device.upload(halves(height * width * I, 2), [1, 1, height, width, I], "f16");
      const raw = device.upload(halves(O * I * 27, 3, 1 / Math.sqrt(27 * I)), [O, I, 3, 3, 3], "f16");
      const weight = packConvWeight(device, raw);
      const y = conv3d(device, x, weight, {
        padding: { time: [2, 0], height: [1, 1], width: [1, 1] },
        history,
        outDtype: "f32",
        tuning: variant ? { variant: variant as never } : { rule: "tile" },
      });
      weight.dispose();
      return y;
    });
  const [got, want] = [run({ kind: "matrix", ...tile }), run(undefined)];
  expect(relativeL2(await device.read(got), await device.read(want))).toBeLessThan(SUMS());
  for (const t of [got, want]) t.dispose();
}

/** What other makers' devices multiply, emulated: places in tiles, edges and types, not their hardware. */
const elsewhere: readonly {
  readonly name: string;
  readonly product: MatrixProduct;
  /** Every kind of tile; else the one for few rows, since only the number of lanes is another. */
  readonly whole?: true;
}[] = [
  { name: "Intel, 16 lanes", product: { component: "f16", m: 8, n: 16, k: 16, lanes: 16 }, whole: true },
  {
    name: "Intel, 32 lanes, asked for",
    product: { component: "f16", m: 8, n: 16, k: 16, lanes: 32, asksForLanes: true },
  },
  { name: "Apple", product: { component: "f32", m: 8, n: 8, k: 8, lanes: 32 }, whole: true },
  { name: "AMD, 64 lanes", product: { ...F16_16X16X16, lanes: 64 } },
];

describe.each(elsewhere)("$name", ({ product, whole }) => {
  let other: Device | undefined;
  beforeAll(async () => {
    other = await matrixTestDevice({}, product);
  });
  afterAll(() => other?.dispose());
  const { few, many } = linearMatrixTiles(product);

  test.each(whole ? [few[0]!, many.at(-1)!] : [few[0]!])("linear %o", async (tile) => {
    if (other) await linearIsRight(other, tile);
  });

  if (!whole) return;
  test("the rule takes these tiles, for f32 as stored", async () => {
    if (!other) return;
    const [M, N, K] = [19, 40, 24];
    const x = seededNormal(M * K, 1);
    const weight = seededNormal(N * K, 2);
    const y = other.scope(() =>
      linear(other!, other!.upload(x, [M, K]), other!.upload(weight, [N, K]), {
        tuning: { rule: `matrix-${product.component}` },
      }),
    );
    const error = relativeL2(
      await other.read(y),
      linearReference({ M, N, K, x, weight } as Parameters<typeof linearReference>[0]),
    );
    y.dispose();
    if (product.component === "f32") expect(error).toBeLessThan(1e-6);
    else {
      // Two operands rounded to 11 bits.
      expect(error).toBeLessThan(2 ** -11);
      expect(error).toBeGreaterThan(1e-5);
    }
  });

  const conv = convMatrixTiles(product);
  test.each([product.component === "f16" ? conv.many.at(-1)! : conv.narrow[0]!])(
    "conv3d %o",
    async (tile) => {
      if (other) await convIsRight(other, tile);
    },
  );

  // Matrices of f16 take weights that were widened first.
  if (product.component === "f16") return;
  test("quantized weights are read as they are, not rounded", async () => {
    if (!other) return;
    const [M, N, K] = [11, 36, 64];
    // Blocks of 32: a scale in f16 and codes.
    const data = Uint8Array.from({ length: N * 2 * 34 }, (_, i) =>
      i % 34 === 1 ? 0x20 + (i % 8) : (i * 197) & 0xff,
    );
    const file = encodeGguf({ "a.weight": { type: "Q8_0", shape: [N, K], data } });
    const source = await openGguf(memorySource(file, "file.gguf"));
    const weight = widen(await source.read("a.weight"), source.info("a.weight").dtype, "a.weight");
    const packed = (await uploadPacked(other, source, "a.weight"))!;
    const x = seededNormal(M * K, 1);
    const y = linear(other, other.upload(x, [M, K]), packed, { tuning: { rule: "matrix-f32" } });
    const want = linearReference({ M, N, K, x, weight } as Parameters<typeof linearReference>[0]);
    expect(relativeL2(await other.read(y), want)).toBeLessThan(1e-6);
    for (const t of [y, packed]) t.dispose();
    await source.close();
  });
});
