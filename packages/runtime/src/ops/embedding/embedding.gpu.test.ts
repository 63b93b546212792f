import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Device, decodeFloats, encodeFloats } from "../../index.js";
import { seededNormal, testDevice } from "../../testing.js";
import { embedding } from "./embedding.js";

describe("embedding", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  test("copies rows exactly, from tables of every dtype, whole or in parts", async () => {
    for (const dtype of ["f32", "f16", "bf16"] as const) {
      for (const [V, C] of [
        [1, 1],
        [7, 4],
        [50, 12],
        [33, 5],
      ] as const) {
        const data = decodeFloats(encodeFloats(seededNormal(V * C, V), dtype), dtype);
        const ids = Int32Array.from({ length: 19 }, (_, i) => (i * 5) % V);
        const expected = [...ids].flatMap((id) => [...data.subarray(id * C, id * C + C)]);
        for (const maxBindingBytes of [Number.POSITIVE_INFINITY, 600, 250]) {
          const table = device.upload(data, [V, C], dtype);
          const y = embedding(device, table, ids, { maxBindingBytes });
          expect(y.shape).toEqual([19, C]);
          expect([...(await device.read(y))]).toEqual(expected);
          table.dispose();
          y.dispose();
        }
      }
    }
  });

  test("writes zeros for numbers in a tensor that are no rows, and refuses them in an array", async () => {
    const table = device.upload([1, 2, 3, 4, 5, 6], [3, 2]);
    const ids = device.upload([2, -1, 3, 0], [2, 2], "i32");
    // A buffer full of NaN is free for the output to take.
    device.upload(new Float32Array(8).fill(Number.NaN), [8]).dispose();
    for (const maxBindingBytes of [1000, 16]) {
      const y = embedding(device, table, ids, { maxBindingBytes });
      expect([...(await device.read(y))]).toEqual([5, 6, 0, 0, 0, 0, 1, 2]);
      y.dispose();
    }
    expect(() => embedding(device, table, Int32Array.of(3))).toThrow(/row 3 of a table with 3 rows/);
    expect(() => embedding(device, table, table)).toThrow(/ids are f32/);
  });

  test("gives [0, C] for no ids", () => {
    const table = device.upload([1, 2], [1, 2]);
    expect(embedding(device, table, new Int32Array(0)).shape).toEqual([0, 2]);
  });
});
