import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { testDevice } from "../../testing/device.js";
import { absoluteSums } from "./absolute-sums.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

describe.each([
  ["f32", "f32"],
  ["f16", "f32"],
  ["f32", "bf16"],
] as const)("absoluteSums of %s and %s", (one, other) => {
  it.each([1, 3, 4, 4097, 200_003])("sums %i magnitudes", async (size) => {
    // Quarters are exact in every type, and so are their sums in f32 threads.
    const a = Float32Array.from({ length: size }, (_, i) => ((i % 13) - 6) / 4);
    const b = Float32Array.from({ length: size }, (_, i) => ((i % 7) - 3) / 4);
    const tensors = [device.upload(a, [size], one), device.upload(b, [size], other)] as const;
    const { difference, magnitude } = await absoluteSums(device, ...tensors);
    expect(difference).toBe(a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0));
    expect(magnitude).toBe(b.reduce((sum, value) => sum + Math.abs(value), 0));
    for (const tensor of tensors) tensor.dispose();
  });
});

it("leaves out what lies behind the end of a view, and refuses other sizes", async () => {
  const x = device.upload(new Float32Array(12).fill(3), [12]);
  const y = device.upload(new Float32Array(5).fill(1), [5]);
  expect(await absoluteSums(device, x.rows(0, 5), y)).toEqual({ difference: 10, magnitude: 5 });
  await expect(absoluteSums(device, x, y)).rejects.toThrow(/differ in size/);
  for (const one of [x, y]) one.dispose();
});
