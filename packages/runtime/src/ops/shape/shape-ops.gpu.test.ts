import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import type { DType } from "../../tensor/dtype.js";
import type { Tensor } from "../../tensor/tensor.js";
import { poisonMemory } from "../../testing/poison.js";
import { testDevice } from "../../testing.js";
import { concat, pad, permute, repeatInterleave, slice, updateSlice } from "./shape-ops.js";
import {
  concatReference,
  permuteReference,
  repeatInterleaveReference,
  sliceReference,
} from "./shape-ops.reference.js";

const DTYPES = ["f32", "f16", "bf16", "i32", "u8"] as const;
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

describe("shape ops", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  const numbersOf = (t: Tensor) => (t.dtype === "i32" ? device.readIntegers(t) : device.read(t));

  /** Numbers that every dtype stores exactly. */
  async function counted(shape: readonly number[], dtype: DType, first = 0) {
    const numbers = Array.from({ length: size(shape) }, (_, i) => (i + first) % 251);
    const t = device.upload(numbers, shape, dtype);
    poisonMemory(device, shape, dtype);
    return { t, values: numbers };
  }

  test.each(DTYPES)("%s: permute", async (dtype) => {
    for (const [shape, axes] of [
      [[1], [0]],
      [
        [5, 3],
        [1, 0],
      ],
      [
        [2, 3, 5],
        [2, 0, 1],
      ],
      [
        [3, 5, 8],
        [1, 0, 2],
      ],
      [
        [2, 3, 4, 4],
        [0, 2, 1, 3],
      ],
      [
        [1, 2, 3, 2, 2, 6],
        [0, 1, 4, 2, 3, 5],
      ],
      [
        [2, 1, 3, 2, 2, 3, 2, 3],
        [7, 0, 6, 1, 5, 2, 4, 3],
      ],
    ] as const) {
      const x = await counted(shape, dtype);
      const y = permute(device, x.t, axes);
      expect(y.shape).toEqual(axes.map((d) => shape[d]));
      expect([...(await numbersOf(y))], `[${shape}] by [${axes}]`).toEqual(
        permuteReference(x.values, shape, axes),
      );
      x.t.dispose();
      y.dispose();
    }
  });

  test.each(DTYPES)("%s: slice and repeatInterleave along every axis", async (dtype) => {
    for (const shape of [[7], [3, 5], [3, 7, 4], [2, 5, 3, 8]]) {
      const x = await counted(shape, dtype);
      for (let axis = 0; axis < shape.length; axis++) {
        const n = shape[axis]!;
        for (const [start, end] of [
          [0, n],
          [1, n],
          [n - 1, n],
          [0, 2],
          [1, -1],
        ] as const) {
          const y = slice(device, x.t, axis, start, end);
          const last = end < 0 ? n + end : end;
          const expected = sliceReference(x.values, shape, axis, start, last);
          expect([...(await numbersOf(y))], `[${shape}] axis ${axis} ${start}..${end}`).toEqual(expected);
          y.dispose();
        }
        for (const times of [1, 2, 3]) {
          const y = repeatInterleave(device, x.t, axis, times);
          const expected = repeatInterleaveReference(x.values, shape, axis, times);
          expect([...(await numbersOf(y))], `[${shape}] axis ${axis} times ${times}`).toEqual(expected);
          y.dispose();
        }
      }
      x.t.dispose();
    }
  });

  test.each(["f32", "f16", "bf16", "i32"] as const)("%s: concat and pad along every axis", async (dtype) => {
    for (const shape of [[3], [3, 5], [2, 3, 8], [2, 2, 3, 3]]) {
      for (let axis = 0; axis < shape.length; axis++) {
        const parts = await Promise.all([1, 4, 3].map((n, i) => counted(shape.with(axis, n), dtype, 50 * i)));
        const y = concat(
          device,
          parts.map((p) => p.t),
          axis,
        );
        const expected = concatReference(
          parts.map((p) => ({ values: p.values, shape: p.t.shape })),
          axis,
        );
        expect([...(await numbersOf(y))], `[${shape}] axis ${axis}`).toEqual(expected);
        const padded = pad(device, parts[0]!.t, axis, 2, 1);
        const back = slice(device, padded, axis, 2, 3);
        expect([...(await numbersOf(back))]).toEqual(parts[0]!.values);
        const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
        expect(sum(await numbersOf(padded))).toBe(sum(parts[0]!.values));
        for (const t of [y, padded, back, ...parts.map((p) => p.t)]) t.dispose();
      }
    }
  });

  test("tensors above the binding limit and the workgroup limit", async () => {
    const limit = device.info.limits.maxStorageBufferBindingSize;
    const big = limit <= 2 ** 28;
    if (!big) console.log(`binding limit ${limit}: only the workgroup count is tested here`);
    const rows = 70_000;
    const inner = (big ? Math.ceil(limit / 4 / rows) : 256) + 5;
    const x = device.zeros([rows, inner]);
    const mark = device.upload([1, 2, 3, 4], [4]);
    const flat = x.reshape([x.size]);
    const end = flat.rows(x.size - 4, x.size);
    device.copyBytes(mark, end);
    const y = permute(device, x, [1, 0]);
    const corner = slice(device, y, 1, rows - 1, rows);
    expect([...(await numbersOf(corner)).slice(-4)]).toEqual([1, 2, 3, 4]);
    const both = concat(device, [x, x], 1);
    const last = slice(device, both, 0, rows - 1, rows);
    const got = await device.read(last);
    expect([...got.slice(inner - 4, inner)]).toEqual([1, 2, 3, 4]);
    expect([...got.slice(-4)]).toEqual([1, 2, 3, 4]);
    expect(got.reduce((a, b) => a + b, 0)).toBe(20);
    for (const t of [x, mark, flat, end, y, corner, both, last]) t.dispose();
  });

  test("refuses what does not fit", () => {
    const a = device.zeros([2, 3]);
    expect(() => permute(device, a, [0, 0])).toThrow(/no order/);
    expect(() => slice(device, a, 1, 2, 5)).toThrow(/outside/);
    expect(() => concat(device, [a, device.zeros([2, 4])], 0)).toThrow(/does not fit/);
    expect(() => updateSlice(device, a, 1, 3, device.zeros([2, 2]))).toThrow(/does not fit/);
  });
});
