import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { testDevice } from "../../testing/device.js";
import { clamp } from "../elementwise/elementwise.js";
import { countNotFinite } from "./finite.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

describe.each(["f32", "f16", "bf16"] as const)("countNotFinite of %s", (dtype) => {
  it.each([1, 3, 4, 4097, 70_001])("counts NaN and both infinities among %i numbers", async (size) => {
    const data = Float32Array.from({ length: size }, (_, i) => (i % 7) - 3);
    const clean = device.upload(data, [size], dtype);
    expect(await countNotFinite(device, clean)).toBe(0);
    const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const places = [...new Set([0, size >> 1, size - 1])];
    for (const [i, at] of places.entries()) data[at] = bad[i]!;
    const dirty = device.upload(data, [size], dtype);
    expect(await countNotFinite(device, dirty)).toBe(places.length);
    for (const x of [clean, dirty]) x.dispose();
  });
});

it("does not count what lies behind the end of a view", async () => {
  const data = new Float32Array(12).fill(1);
  data[5] = Number.NaN;
  const x = device.upload(data, [12]);
  expect(await countNotFinite(device, x.rows(0, 5))).toBe(0);
  expect(await countNotFinite(device, x.rows(0, 6))).toBe(1);
  x.dispose();
});

it("sees NaN behind a clamp, which bounds infinities", async () => {
  const x = device.upload(Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, -7, 0.5), [4]);
  const y = clamp(device, x, -1, 1);
  expect([...(await device.read(y))]).toEqual([Number.NaN, 1, -1, 0.5]);
  for (const one of [x, y]) one.dispose();
});
