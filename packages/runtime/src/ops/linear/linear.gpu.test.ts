import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  bytesPerElement,
  type Device,
  decodeFloats,
  encodeFloats,
  type FloatDType,
  fixedSubgroupSize,
  Tensor,
} from "../../index.js";
import { canRun, relativeL2, seededNormal, testDevice } from "../../testing.js";
import { type LinearOptions, type LinearTuning, linear } from "./linear.js";
import { linearReference } from "./linear.reference.js";
import { linearFamily } from "./linear-family.js";
import { LARGE_TILE, type LinearVariant, MATRIX_TILES, SMALL_TILE } from "./linear-variant.js";

/** A test case; every tensor that is named here takes part, in the dtype given. */
interface Case {
  M: number;
  N: number;
  K: number;
  x?: FloatDType;
  weight?: FloatDType;
  out?: FloatDType;
  bias?: FloatDType;
  multiply?: FloatDType;
  gate?: number;
  residual?: FloatDType | "in_place";
  activation?: LinearOptions["activation"];
}

/** Rounds to what `dtype` stores, so that the reference sees the same inputs. */
const stored = (values: Float32Array, dtype: FloatDType) => decodeFloats(encodeFloats(values, dtype), dtype);

/**
 * A tensor whose storage goes on with NaN right behind its last element, as far as a binding reaches: reading past
 * the end shows up as NaN in the result.
 */
function poisoned(device: Device, values: Float32Array, shape: number[], dtype: FloatDType): Tensor {
  const perWord = 4 / bytesPerElement(dtype);
  const padded = new Float32Array(Math.ceil((values.length + 16) / perWord) * perWord).fill(Number.NaN);
  padded.set(values);
  const whole = device.upload(padded, [padded.length], dtype);
  return whole.rows(0, values.length).reshape(shape);
}

/**
 * Largest error relative to the root mean square of the expected values. f32 sums of K terms of size s err by about
 * sqrt(K) * 2^-24 * s in any order: below 1e-5 for every K here. Stored results add half a unit of their last place.
 */
function check(got: Float32Array, expected: Float64Array, out: FloatDType, label: string, sums = 1e-5): void {
  expect(got.length, label).toBe(expected.length);
  let square = 0;
  for (const v of expected) square += v * v;
  const rms = Math.sqrt(square / expected.length) || 1;
  const rounding = out === "f32" ? 0 : out === "f16" ? 2 ** -11 : 2 ** -8;
  for (let i = 0; i < got.length; i++) {
    const error = Math.abs(got[i]! - expected[i]!);
    const allowed = sums * Math.max(rms, Math.abs(expected[i]!)) + rounding * Math.abs(expected[i]!);
    if (!(error <= allowed)) {
      throw new Error(
        `${label}: element ${i} of ${got.length} is ${got[i]}, expected ${expected[i]} within ${allowed}`,
      );
    }
  }
}

async function run(device: Device, c: Case, tuning?: LinearTuning, sums?: number): Promise<Float32Array> {
  const { M, N, K, x = "f32", weight = "f32", out = "f32" } = c;
  const data = {
    x: stored(seededNormal(M * K, 1), x),
    weight: stored(seededNormal(N * K, 2, 1 / Math.sqrt(K)), weight),
    bias: c.bias && stored(seededNormal(N, 3), c.bias),
    multiply: c.multiply && stored(seededNormal(M * N, 4), c.multiply),
    gate: c.gate ? seededNormal(c.gate * N, 5) : undefined,
    residual: c.residual && stored(seededNormal(M * N, 6), c.residual === "in_place" ? out : c.residual),
  };
  const output =
    c.residual === "in_place"
      ? poisoned(device, data.residual as Float32Array, [M, N], out)
      : poisoned(device, new Float32Array(M * N).fill(Number.NaN), [M, N], out);
  const optional = (values: Float32Array | undefined | "", shape: number[], dtype?: string) =>
    values ? poisoned(device, values, shape, dtype as FloatDType) : undefined;
  device.scope(() => {
    linear(device, poisoned(device, data.x, [M, K], x), poisoned(device, data.weight, [N, K], weight), {
      bias: optional(data.bias, [N], c.bias),
      multiply: optional(data.multiply, [M, N], c.multiply),
      gate: optional(data.gate, [c.gate ?? 1, N], "f32"),
      residual: c.residual === "in_place" ? output : optional(data.residual, [M, N], c.residual),
      activation: c.activation,
      out: output,
      tuning,
    });
  });
  const got = await device.read(output);
  const clean = Object.fromEntries(Object.entries(data).map(([k, v]) => [k, v || undefined]));
  const input = { M, N, K, activation: c.activation, ...clean } as Parameters<typeof linearReference>[0];
  check(got, linearReference(input), out, JSON.stringify(c), sums);
  // Whatever lies behind the output still holds NaN.
  const behind = new Tensor(output.buffer, 0, [M * N + 4], out);
  const tail = (await device.read(behind)).subarray(M * N);
  expect([...tail], `${JSON.stringify(c)}: wrote past the end`).toEqual([
    Number.NaN,
    Number.NaN,
    Number.NaN,
    Number.NaN,
  ]);
  output.dispose();
  return got;
}

const sizes: [number, number, number][] = [
  [1, 1, 1],
  [1, 5, 3],
  [3, 1, 7],
  [2, 2, 2],
  [5, 6, 4],
  [17, 33, 19],
  [64, 64, 32],
  [65, 68, 36],
  [70, 130, 50],
  [130, 96, 128],
];

const everything = {
  bias: "f16",
  activation: "silu",
  multiply: "bf16",
  gate: 2,
  residual: "in_place",
} as const;

describe("linear", () => {
  let device: Device;
  /** One of each kernel that this device can run. */
  let variants: Record<string, LinearVariant>;
  beforeAll(async () => {
    device = await testDevice();
    const { f16 } = device.info;
    const size = fixedSubgroupSize(device.info);
    const tile = { kind: "tile", ...SMALL_TILE, rolled: true } as const;
    variants = {
      tile,
      ...(size ? { lanes: { kind: "lanes", size, blocksM: 2, blocksN: Math.max(1, 16 / size) } } : {}),
      ...(f16 ? { "f16 tile": { ...tile, halfX: true, halfW: true } } : {}),
    };
    for (const name of ["lanes", "f16 tile"])
      if (!variants[name]) console.warn(`linear: no ${name} on this device, not tested`);
  });
  afterAll(() => device.dispose());

  test("every kernel: sizes from 1 x 1 x 1 up, round and odd", async () => {
    for (const { id, requires } of linearFamily.rules) {
      if (id === "matrix-f16" || requires(device.info) !== undefined) continue;
      for (const [M, N, K] of sizes) {
        const stored = id === "tile-f16" ? ({ x: "f16", weight: "f16" } as const) : {};
        if (id !== "gemv" || M <= 4) await run(device, { M, N, K, ...stored }, { rule: id });
      }
    }
  });

  test("the large tile", async () => {
    const variant = { kind: "tile", ...LARGE_TILE, rolled: true } as const;
    await run(device, { M: 129, N: 132, K: 36, ...everything, gate: 1 }, { variant });
    await run(device, { M: 130, N: 131, K: 19 }, { variant });
  });

  test("subgroup matrices: edges of tiles, every epilogue, and what rounding operands costs", async () => {
    if (!canRun(device, linearFamily, "matrix-f16")) return;
    const halves = { x: "f16", weight: "f16" } as const;
    for (const tile of MATRIX_TILES) {
      const variant = { kind: "matrix", ...tile } as const;
      for (const [M, N, K] of [
        [1, 1, 8],
        [32, 32, 8],
        [33, 35, 40],
        [64, 64, 32],
        [127, 129, 72],
        [130, 258, 264],
        [300, 140, 1000],
      ] as const) {
        // What is stored as f16 is multiplied exactly, so that the bound of f32 sums holds.
        await run(device, { M, N, K, ...halves }, { variant });
        await run(device, { M, N, K, ...halves, ...everything, gate: 1 }, { variant });
      }
      for (const [out, N] of [
        ["f32", 72],
        ["f16", 70],
        ["bf16", 71],
      ] as const) {
        await run(device, { M: 66, N, K: 48, out, ...halves, ...everything }, { variant });
      }
      for (const x of ["f32", "bf16"] as const) {
        // Rounding both operands to f16 changes each product by 2^-11.5 of itself, and their sum, relative to the root
        // mean square, as much: the largest of 90,000 sums is about four times that. Few rows are rounded while they are
        // staged, many before.
        const inputs = { x, weight: x === "f32" ? "bf16" : "f32" } as const;
        for (const side of [100, 300])
          await run(device, { M: side, N: side, K: 256, ...inputs }, { variant }, 2e-3);
      }
    }
  });

  test("a few rows, by every number of threads", async () => {
    for (const [rows, threads] of [
      [1, 8],
      [1, 64],
      [2, 8],
      [4, 64],
      [8, 4],
      [8, 64],
    ] as const) {
      const variant = { kind: "gemv", rows, threads } as const;
      await run(device, { M: rows, N: 18, K: 301, gate: rows, residual: "in_place" }, { variant });
      if (rows > 2)
        await run(device, { M: rows - 1, N: 18, K: 301, gate: 1, residual: "in_place" }, { variant });
    }
  });

  test("every weight, activation and output dtype", async () => {
    const dtypes = ["f32", "f16", "bf16"] as const;
    const shapes = [
      [9, 12, 20],
      [6, 7, 5],
      [7, 6, 9],
    ] as const;
    const names = Object.keys(variants).filter((name) => name !== "f16 tile");
    for (const variant of names)
      for (const [i, weight] of dtypes.entries())
        for (const [j, x] of dtypes.entries()) {
          // All nine pairs of inputs; outputs and shapes take turns, so that each meets each.
          const [M, N, K] = shapes[(i + 2 * j) % 3]!;
          const out = dtypes[(i + j) % 3]!;
          await run(device, { M, N, K, x, weight, out, bias: weight }, { variant: variants[variant]! });
        }
    for (const out of ["f16", "bf16"] as const)
      for (const [M, N, K] of shapes) await run(device, { M, N, K, out });
  });

  test("every part of the epilogue alone", async () => {
    for (const [M, N, K] of [
      [6, 8, 12],
      [6, 7, 5],
    ] as const) {
      for (const activation of ["gelu", "gelu_tanh", "silu", "relu", "relu2"] as const)
        await run(device, { M, N, K, activation });
      await run(device, { M, N, K, multiply: "f32" });
      await run(device, { M, N, K, gate: 3 });
      await run(device, { M, N, K, residual: "f32" });
    }
  });

  test("the whole epilogue together, in every kernel", async () => {
    for (const variant of Object.values(variants)) {
      const half = variant.kind === "tile" && variant.halfX;
      const inputs = half ? ({ x: "f16", weight: "f16" } as const) : {};
      for (const [M, N, K, out] of [
        [66, 72, 36, "f32"],
        [66, 70, 33, "f16"],
        [66, 71, 33, "bf16"],
      ] as const) {
        await run(device, { M, N, K, out, ...inputs, ...everything }, { variant });
      }
    }
    await run(device, { M: 12, N: 10, K: 8, out: "f16", ...everything, residual: "bf16", gate: 1 });
  });

  test("kernels agree with each other", async () => {
    const c: Case = { M: 70, N: 76, K: 256, x: "f16", weight: "f16", ...everything };
    const results: Float32Array[] = [];
    for (const variant of Object.values(variants)) results.push(await run(device, c, { variant }));
    // Only the order of the 256 additions differs: about sqrt(256) * 2^-24.
    for (const other of results.slice(1)) expect(relativeL2(other, results[0]!)).toBeLessThan(1e-6);
  });

  test("splits of rows and of the weight give the same bits", async () => {
    const all = { bias: "f32", multiply: "f32", gate: 2, residual: "in_place" } as const;
    for (const c of [
      { M: 40, N: 36, K: 20, ...all },
      { M: 200, N: 36, K: 20, ...all },
      { M: 22, N: 35, K: 19, ...all },
      { M: 22, N: 35, K: 19, out: "f16", weight: "bf16", ...all },
      { M: 30, N: 34, K: 18, out: "f16", weight: "f16", ...all },
    ] satisfies Case[]) {
      const whole = await run(device, c);
      for (const maxBindingBytes of [1500, 700, 400]) {
        expect(await run(device, c, { maxBindingBytes })).toEqual(whole);
      }
      // One tile of rows for each dispatch, and both at once.
      for (const tuning of [{ dispatchFlops: 1 }, { dispatchFlops: 1, maxBindingBytes: 700 }]) {
        expect(await run(device, c, tuning)).toEqual(whole);
      }
    }
  });

  test("more than 65,535 workgroups", async () => {
    const [M, K, N] = [65_600 * 64, 1, 1];
    const x = device.upload(new Float32Array(M).fill(3), [M, K]);
    const weight = device.upload([2], [N, K]);
    const y = linear(device, x, weight);
    const got = await device.read(y);
    expect(got.length).toBe(M);
    expect(got.every((v) => v === 6)).toBe(true);
    for (const t of [x, weight, y]) t.dispose();
  });

  test("takes its dtype and shape from x, and frees what it needs on the way", async () => {
    const before = device.memory().liveTensors;
    device.scope(() => {
      const x = device.upload(seededNormal(2 * 3 * 4, 1), [2, 3, 4], "f16");
      const weight = device.upload(seededNormal(5 * 4, 2), [5, 4]);
      const y = linear(device, x, weight);
      expect(y.shape).toEqual([2, 3, 5]);
      expect(y.dtype).toBe("f16");
      expect(device.memory().liveTensors).toBe(before + 3);
      expect(linear(device, x, weight, { outDtype: "f32" }).dtype).toBe("f32");
    });
    expect(device.memory().liveTensors).toBe(before);
  });

  test("says which shapes do not fit", () => {
    device.scope(() => {
      const x = device.empty([6, 4]);
      const weight = device.empty([5, 4]);
      expect(() => linear(device, x, device.empty([5, 3]))).toThrow(/needs 3 values per row/);
      expect(() => linear(device, x, weight, { bias: device.empty([4]) })).toThrow(
        /bias is \[4\], expected \[5\]/,
      );
      expect(() => linear(device, x, weight, { gate: device.empty([4, 5]) })).toThrow(/G divides 6 rows/);
      expect(() => linear(device, x, weight, { residual: device.empty([5, 6]) })).toThrow(/residual/);
      expect(() => linear(device, x, weight, { out: device.empty([6, 5], "f16"), outDtype: "f32" })).toThrow(
        /outDtype/,
      );
      const square = device.empty([4, 4]);
      expect(() => linear(device, x, square, { out: x })).toThrow(/overlaps/);
      expect(() => linear(device, device.empty([6, 4], "i32"), weight)).toThrow(/i32/);
    });
  });
});
