import { afterAll, beforeAll, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import { maxAbsolute, seededNormal, testDevice } from "../../testing.js";
import { softmaxRows } from "./softmax.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test.each([
  [1, 1],
  [3, 63],
  [2, 1000],
  [70_000, 3],
])("softmax of %i rows of %i equals float64", async (rows, width) => {
  const values = seededNormal(rows * width, rows + width, 20);
  const x = device.upload(values, [rows, width]);
  softmaxRows(device, x, 0.5);
  const expected = new Float64Array(values.length);
  for (let r = 0; r < rows; r++) {
    const row = Array.from(values.subarray(r * width, (r + 1) * width), (v) => v * 0.5);
    const largest = Math.max(...row);
    const e = row.map((v) => Math.exp(v - largest));
    const total = e.reduce((a, b) => a + b, 0);
    e.forEach((v, i) => {
      expected[r * width + i] = v / total;
    });
  }
  // WGSL's exp is good to a few units in the last place at these exponents.
  expect(maxAbsolute(await device.read(x), expected)).toBeLessThan(5e-6);
  x.dispose();
});
