import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { testDevice } from "../../testing/device.js";
import { addProduct, addRows } from "./add-product.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const numbers = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + seed) * 0.9);

describe("addProduct", () => {
  it.each([
    { m: 1, n: 1, k: 1, r: 1, out: 0, from: 0, count: 1 },
    { m: 7, n: 9, k: 5, r: 3, out: 2, from: 4, count: 5 },
    { m: 130, n: 128, k: 67, r: 64, out: 1, from: 0, count: 128 },
    { m: 4, n: 4, k: 300, r: 129, out: 0, from: 3, count: 1 },
  ])("adds $count rows of a product of rank $r", async ({ m, n, k, r, ...rows }) => {
    const [w, b, a] = [numbers(m * k, 1), numbers(n * r, 2), numbers(r * k, 3)];
    using out = device.upload(w, [m, k]);
    using up = device.upload(b, [n, r]);
    using down = device.upload(a, [r, k]);
    addProduct(device, out, up, down, rows);
    const got = await device.read(out);
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < k; column++) {
        let expected = w[row * k + column]!;
        const source = row - rows.out + rows.from;
        const isIn = row >= rows.out && row < rows.out + rows.count;
        for (let i = 0; isIn && i < r; i++) expected += b[source * r + i]! * a[i * k + column]!;
        // A sum of r products of at most 0.81 in f32; rows that nothing is added to stay as they are.
        const error = Math.abs(got[row * k + column]! - expected);
        if (isIn) expect(error).toBeLessThan(2 ** -23 * (r + 2));
        else expect(error).toBe(0);
      }
    }
  });

  it("refuses what does not fit", () => {
    using out = device.zeros([4, 6]);
    using up = device.zeros([3, 2]);
    using down = device.zeros([2, 6]);
    using half = device.zeros([2, 6], "f16");
    const rows = { out: 0, from: 0, count: 3 };
    expect(() => addProduct(device, out, up, up, rows)).toThrow(/does not fit/);
    expect(() => addProduct(device, out, up, half, rows)).toThrow(/expected f32/);
    expect(() => addProduct(device, out, up, down, { ...rows, from: 1 })).toThrow(/are not in/);
    expect(() => addRows(device, out, up, rows)).toThrow(/does not fit/);
  });
});

it("addRows adds rows as they are", async () => {
  using out = device.upload(numbers(5 * 3, 1), [5, 3]);
  using values = device.upload(numbers(4 * 3, 2), [4, 3]);
  addRows(device, out, values, { out: 3, from: 1, count: 2 });
  const expected = numbers(5 * 3, 1);
  for (let i = 0; i < 6; i++) expected[9 + i]! += numbers(4 * 3, 2)[3 + i]!;
  expect(await device.read(out)).toEqual(expected);
});
