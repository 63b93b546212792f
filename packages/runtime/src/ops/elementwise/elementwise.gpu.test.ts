import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import type { Activation } from "../../kernel/wgsl.js";
import type { FloatDType } from "../../tensor/dtype.js";
import type { Tensor } from "../../tensor/tensor.js";
import { poisonMemory } from "../../testing/poison.js";
import { maxAbsolute, relativeL2, seededNormal, testDevice } from "../../testing.js";
import { activate, add, addScaled, affine, cast, channelAffine, clamp, multiply } from "./elementwise.js";
import { activationReference, broadcastReference } from "./elementwise.reference.js";

/** f32: one or two roundings. f16 and bf16 outputs: half a unit of 11 or 8 significant bits. */
const TOLERANCE: Record<FloatDType, number> = { f32: 2e-7, f16: 5e-4, bf16: 4e-3 };

describe("elementwise", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  async function check(y: Tensor, expected: ArrayLike<number>, tolerance = TOLERANCE[y.dtype as FloatDType]) {
    expect(relativeL2(await device.read(y), expected)).toBeLessThan(tolerance);
    y.dispose();
  }

  /** A tensor and the numbers it really stores. */
  async function stored(shape: number[], seed: number, dtype: FloatDType = "f32") {
    const n = shape.reduce((a, b) => a * b, 1);
    const t = device.upload(seededNormal(n, seed, 2), shape, dtype);
    const values = await device.read(t);
    poisonMemory(device, shape, dtype);
    return { t, values };
  }

  test.each(["f32", "f16", "bf16"] as const)("%s: every op over odd shapes", async (dtype) => {
    for (const shape of [[1], [3], [5, 1], [7, 3], [4, 8], [2, 3, 20], [1030]]) {
      const a = await stored(shape, 1, dtype);
      const b = await stored(shape, 2, "f32");
      const av = Array.from(a.values);
      const bv = Array.from(b.values);
      await check(
        add(device, a.t, b.t),
        av.map((v, i) => v + bv[i]!),
      );
      await check(
        multiply(device, a.t, b.t),
        av.map((v, i) => v * bv[i]!),
      );
      await check(
        addScaled(device, a.t, 0.5, b.t, -3),
        av.map((v, i) => 0.5 * v - 3 * bv[i]!),
      );
      await check(
        affine(device, a.t, { scale: -2, shift: 0.25 }),
        av.map((v) => -2 * v + 0.25),
      );
      await check(
        clamp(device, a.t, -1, 0.5),
        av.map((v) => Math.min(0.5, Math.max(-1, v))),
      );
      await check(cast(device, a.t, "f32"), av, 1e-30);
      await check(cast(device, a.t, "f16"), av);
      await check(cast(device, a.t, "bf16"), av);
      a.t.dispose();
      b.t.dispose();
    }
  });

  test("broadcasts [C] and [G, C] tables over rows, also where C is no multiple of 4", async () => {
    for (const [rows, channels] of [
      [6, 1],
      [6, 3],
      [6, 5],
      [6, 8],
      [12, 20],
    ] as const) {
      const a = await stored([2, rows / 2, channels], 3, "f16");
      for (const groups of [1, 2, 3, rows]) {
        const table = await stored([groups, channels], 4, "bf16");
        const shift = await stored([groups, channels], 5, "f32");
        const m = broadcastReference(table.values, rows * channels, channels);
        const s = broadcastReference(shift.values, rows * channels, channels);
        const f32 = { outDtype: "f32" } as const;
        await check(
          multiply(device, a.t, table.t, f32),
          m.map((v, i) => v * a.values[i]!),
        );
        await check(
          add(device, a.t, table.t, f32),
          m.map((v, i) => v + a.values[i]!),
        );
        await check(
          channelAffine(device, a.t, table.t, shift.t, f32),
          m.map((v, i) => a.values[i]! * v + s[i]!),
        );
        table.t.dispose();
        shift.t.dispose();
      }
      a.t.dispose();
    }
  });

  test.each(["silu", "relu", "relu2", "gelu", "gelu_tanh"] as const)("%s", async (activation: Activation) => {
    const values = Float32Array.from({ length: 1001 }, (_, i) => (i - 500) / 20);
    const x = device.upload(values, [1001]);
    poisonMemory(device, [1001]);
    const y = activate(device, x, activation);
    const expected = Array.from(values, (v) => activationReference(v, activation));
    // The shader's erf is good to 1.5e-7, times half of |x| up to 25; exp and division add a few units.
    expect(maxAbsolute(await device.read(y), expected)).toBeLessThan(activation === "relu2" ? 4e-5 : 5e-6);
    x.dispose();
    y.dispose();
  });

  test("writes in place, and leaves the neighbours of a view alone", async () => {
    for (const dtype of ["f32", "f16"] as const) {
      const t = device.upload(seededNormal(70, 6), [14, 5], dtype);
      const before = await device.read(t);
      const view = t.rows(0, 3);
      expect(affine(device, view, { scale: 2, shift: 1 }, { out: view })).toBe(view);
      const expected = Array.from(before, (v, i) => (i < 15 ? v * 2 + 1 : v));
      expect(relativeL2(await device.read(t), expected)).toBeLessThan(TOLERANCE[dtype]);
      expect([...(await device.read(t)).slice(15)]).toEqual([...before.slice(15)]);
      view.dispose();
      t.dispose();
    }
  });

  test("works on the same tensor twice and over 65,535 workgroups", async () => {
    const n = 65_536 * 1024 + 5;
    const x = device.zeros([n], "bf16");
    const tail = device.upload([3, 4, 5], [3], "bf16");
    device.copyBytes(tail.rows(0, 2), x.rows(n - 3, n - 1));
    const y = affine(device, x, { shift: 1 });
    const z = add(device, y, y);
    const ends = [z.rows(0, 2), z.rows(n - 3, n - 1)];
    expect([...(await device.read(ends[0]!))]).toEqual([2, 2]);
    expect([...(await device.read(ends[1]!))]).toEqual([8, 10]);
    for (const t of [x, y, z, tail, ...ends]) t.dispose();
  });

  test("splits tensors above the binding limit", async () => {
    const limit = device.info.limits.maxStorageBufferBindingSize;
    if (limit > 2 ** 28) {
      console.log(`not run: this device binds ${limit} bytes, filling more takes too long here`);
      return;
    }
    const channels = 20;
    const rows = Math.ceil(limit / 4 / channels) + 1000;
    const x = device.zeros([rows, channels]);
    const table = await stored([2, channels], 7);
    const y = add(device, x, table.t);
    const ends = [y.rows(0, 1), y.rows(rows - 1, rows)];
    expect([...(await device.read(ends[0]!))]).toEqual([...table.values.slice(0, channels)]);
    expect([...(await device.read(ends[1]!))]).toEqual([...table.values.slice(channels)]);
    for (const t of [x, y, table.t, ...ends]) t.dispose();
  });

  test("refuses shapes that do not broadcast", () => {
    const a = device.zeros([4, 6]);
    for (const shape of [[4], [5, 6], [24 * 2]])
      expect(() => add(device, a, device.zeros(shape))).toThrow(/does not broadcast/);
  });
});
