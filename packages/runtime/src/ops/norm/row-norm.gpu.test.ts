import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import type { FloatDType } from "../../tensor/dtype.js";
import { poisonMemory } from "../../testing/poison.js";
import { relativeL2, seededNormal, testDevice } from "../../testing.js";
import { activationReference } from "../elementwise/elementwise.reference.js";
import { layerNorm, rmsNorm } from "./row-norm.js";
import { rowNormReference } from "./row-norm.reference.js";
import { type ROW_NORM_PARAMS, type RowNormVariant, rowNormKernel, rowNormThreads } from "./row-norm.wgsl.js";

/** f32: rounding of sums of up to a few thousand terms. f16, bf16: half a unit of what is stored. */
const TOLERANCE: Record<FloatDType, number> = { f32: 1e-6, f16: 5e-4, bf16: 4e-3 };
const SHAPES = [
  [1, 1],
  [5, 1],
  [3, 3],
  [7, 5],
  [1, 4],
  [130, 4],
  [67, 12],
  [9, 128],
  [3, 1536],
  [2, 5120],
] as const;

describe("row norms", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  async function stored(shape: readonly number[], seed: number, dtype: FloatDType = "f32") {
    const n = shape.reduce((a, b) => a * b, 1);
    const t = device.upload(
      seededNormal(n, seed).map((v) => v + 0.5),
      shape,
      dtype,
    );
    return { t, values: await device.read(t) };
  }

  test.each(["f32", "f16", "bf16"] as const)("%s: rms, l2 and layer norm over odd shapes", async (dtype) => {
    for (const [rows, channels] of SHAPES) {
      const x = await stored([rows, channels], 1, dtype);
      const weight = await stored([channels], 2, dtype);
      const bias = await stored([channels], 3);
      for (const kind of ["rms", "l2", "layer"] as const) {
        // With one channel layer norm divides 0 by sqrt(eps): keep eps large enough to compare.
        const eps = kind === "l2" ? 1e-12 : 1e-5;
        const given = { weight: weight.t, bias: bias.t, eps };
        poisonMemory(device, [rows, channels], dtype);
        const y =
          kind === "layer"
            ? layerNorm(device, x.t, given)
            : rmsNorm(device, x.t, { ...given, mode: kind === "l2" ? "l2" : "rms" });
        const expected = rowNormReference(kind, x.values, {
          channels,
          eps,
          weight: weight.values,
          bias: bias.values,
        });
        const error = relativeL2(await device.read(y), expected);
        expect(error, `${kind} [${rows}, ${channels}]`).toBeLessThan(TOLERANCE[dtype]);
        y.dispose();
      }
      for (const t of [x, weight, bias]) t.t.dispose();
    }
  });

  test("layer norm with grouped scale and shift, f16 in, f32 out", async () => {
    for (const channels of [3, 16, 260]) {
      const x = await stored([2, 6, channels], 4, "f16");
      for (const groups of [1, 2, 4, 12]) {
        const scale = await stored([groups, channels], 5);
        const shift = await stored([groups, channels], 6);
        poisonMemory(device, [2, 6, channels]);
        const y = layerNorm(device, x.t, { eps: 1e-6, scale: scale.t, shift: shift.t, outDtype: "f32" });
        const expected = rowNormReference("layer", x.values, {
          channels,
          eps: 1e-6,
          scale: scale.values,
          shift: shift.values,
        });
        expect(y.dtype).toBe("f32");
        expect(relativeL2(await device.read(y), expected)).toBeLessThan(1e-6);
        for (const t of [y, scale.t, shift.t]) t.dispose();
      }
      x.t.dispose();
    }
  });

  test("keeps precision on a mean that is large against the spread", async () => {
    const channels = 512;
    const values = seededNormal(4 * channels, 7).map((v) => Math.fround(v + 1000));
    const x = device.upload(values, [4, channels]);
    const y = layerNorm(device, x, { eps: 1e-6 });
    const expected = rowNormReference("layer", values, { channels, eps: 1e-6 });
    // E[x^2] - E[x]^2 would be off by 6e-2, a mean rounded to f32 by 1e-4; the corrected mean leaves only f32 sums.
    expect(relativeL2(await device.read(y), expected)).toBeLessThan(1e-6);
    x.dispose();
    y.dispose();
  });

  test("in place with an activation, and one row of zeros", async () => {
    for (const channels of [3, 8]) {
      for (const dtype of ["f32", "f16"] as const) {
        const data = seededNormal(8 * channels, 8);
        data.fill(0, 0, channels);
        const x = device.upload(data, [8, channels], dtype);
        const values = await device.read(x);
        const y = rmsNorm(device, x, { eps: 1e-12, mode: "l2", activation: "silu", inPlace: true });
        expect(y).toBe(x);
        const expected = rowNormReference("l2", values, { channels, eps: 1e-12 });
        const got = await device.read(x);
        expect(
          relativeL2(
            got,
            expected.map((v) => activationReference(v, "silu")),
          ),
        ).toBeLessThan(TOLERANCE[dtype]);
        x.dispose();
      }
    }
  });

  test("every way of sharing rows between threads agrees with the reference", async () => {
    const [rows, channels] = [37, 48];
    const x = await stored([rows, channels], 9);
    const expected = rowNormReference("layer", x.values, { channels, eps: 1e-5 });
    const variants: RowNormVariant[] = [
      { kind: "elements" },
      { kind: "rows" },
      ...[2, 8, 64, 256].map((lanes) => ({ kind: "shared", lanes, threads: 256 }) as const),
    ];
    for (const variant of variants) {
      const shape = { kind: "layer", x: "f32", y: "f32", tables: {}, inPlace: false } as const;
      const kernel = rowNormKernel(shape, variant);
      const y = device.empty([rows, channels]);
      device.write(y, new Float32Array(y.size).fill(Number.NaN));
      const params: { [name in keyof typeof ROW_NORM_PARAMS]: number } = {
        rows,
        channels,
        first_row: 0,
        rows_per_group: 1,
        eps: 1e-5,
      };
      const { threads, perRow } = rowNormThreads(variant);
      const needed = perRow === 0 ? (rows * channels) / 4 : rows * perRow;
      device.dispatch({ kernel, tensors: [x.t, y], params, workgroups: Math.ceil(needed / threads) });
      expect(relativeL2(await device.read(y), expected), JSON.stringify(variant)).toBeLessThan(1e-6);
      y.dispose();
    }
    x.t.dispose();
  });

  test("runs over more than 65,535 workgroups and splits above the binding limit", async () => {
    const limit = device.info.limits.maxStorageBufferBindingSize;
    const channels = 4;
    const big = limit <= 2 ** 28;
    if (!big) console.log(`binding limit ${limit}: only the workgroup count is tested here`);
    const rows = (big ? Math.ceil(limit / 8) : 65_536 * 256) + 3;
    const x = device.zeros([rows, channels], "f16");
    const last = device.upload([1, 2, 3, 4], [1, channels], "f16");
    const end = x.rows(rows - 1, rows);
    device.copyBytes(last, end);
    const y = rmsNorm(device, x, { eps: 1e-6 });
    const tail = y.rows(rows - 2, rows);
    const expected = rowNormReference("rms", [0, 0, 0, 0, 1, 2, 3, 4], { channels, eps: 1e-6 });
    expect(relativeL2(await device.read(tail), expected)).toBeLessThan(TOLERANCE.f16);
    for (const t of [x, y, last, end, tail]) t.dispose();
  });

  test("refuses tables that do not fit", () => {
    const x = device.zeros([6, 8]);
    expect(() => rmsNorm(device, x, { eps: 1e-6, weight: device.zeros([4]) })).toThrow(/weight \[4\]/);
    expect(() => layerNorm(device, x, { eps: 1e-6, scale: device.zeros([4, 8]) })).toThrow(/scale \[4, 8\]/);
  });
});
