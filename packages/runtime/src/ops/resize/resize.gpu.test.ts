import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import { poisonMemory } from "../../testing/poison.js";
import { relativeL2, seededNormal, testDevice } from "../../testing.js";
import { averagePool, resizeNearest, toRgbFrames } from "./resize.js";
import { averagePoolReference, resizeNearestReference, toByteReference } from "./resize.reference.js";

/** Averages of up to 12 terms in f32, stored as named. */
const TOLERANCE = { f32: 3e-7, f16: 5e-4, bf16: 4e-3 } as const;
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

describe("resize", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  test.each(["f32", "f16", "bf16"] as const)("%s: nearest in both ways", async (dtype) => {
    for (const [shape, to] of [
      [
        [1, 1, 1, 1, 1],
        [1, 2, 2],
      ],
      [
        [2, 3, 4, 5, 3],
        [6, 8, 10],
      ],
      [
        [1, 5, 7, 3, 8],
        [3, 5, 7],
      ],
      [
        [2, 1, 3, 3, 12],
        [4, 6, 6],
      ],
    ] as const) {
      const x = device.upload(seededNormal(size(shape), 1), shape, dtype);
      const values = await device.read(x);
      for (const exact of [false, true]) {
        poisonMemory(device, [shape[0], ...to, shape[4]], dtype);
        const y = resizeNearest(device, x, to, { exact });
        expect([...(await device.read(y))], `[${shape}] to [${to}]`).toEqual(
          resizeNearestReference(values, shape, to, exact),
        );
        y.dispose();
      }
      x.dispose();
    }
  });

  test.each(["f32", "f16", "bf16"] as const)("%s: average pooling", async (dtype) => {
    for (const [shape, factors] of [
      [
        [1, 1, 1, 1, 1],
        [1, 1, 1],
      ],
      [
        [2, 5, 4, 7, 3],
        [2, 2, 3],
      ],
      [
        [1, 4, 3, 5, 8],
        [2, 1, 1],
      ],
      [
        [2, 3, 6, 4, 20],
        [1, 2, 2],
      ],
    ] as const) {
      const x = device.upload(seededNormal(size(shape), 2), shape, dtype);
      const expected = averagePoolReference(await device.read(x), shape, factors);
      poisonMemory(device, [expected.length], dtype);
      const y = averagePool(device, x, { time: factors[0], height: factors[1], width: factors[2] });
      expect(y.size).toBe(expected.length);
      expect(relativeL2(await device.read(y), expected)).toBeLessThan(TOLERANCE[dtype]);
      x.dispose();
      y.dispose();
    }
  });

  test("frames to bytes: clamped, ties to even, any count", async () => {
    // Next to ties; 0 is the one number that is exactly on a tie (127.5).
    const ties = Array.from({ length: 255 }, (_, k) => ((k + 0.5) / 255) * 2 - 1);
    const values = Float32Array.from([-2, -1, 0, 1, 3, 0.25, -0.999, ...ties, ...seededNormal(200, 3)]);
    for (const dtype of ["f32", "f16"] as const) {
      for (const n of [1, 3, 6, values.length]) {
        const x = device.upload(values.slice(0, n), [n], dtype);
        const stored = await device.read(x);
        const y = toRgbFrames(device, x);
        expect(y.dtype).toBe("u8");
        const got = await device.read(y);
        stored.forEach((v, i) => {
          // f32 arithmetic may fall to either side within 2e-5 of a tie, nowhere else.
          const exact = Math.min(Math.max(v / 2 + 0.5, 0), 1) * 255;
          const nearTie = Math.abs(exact - Math.floor(exact) - 0.5) < 2e-5 && v !== 0;
          if (nearTie) expect(Math.abs(got[i]! - exact)).toBeLessThan(0.501);
          else expect(got[i], `${v}`).toBe(toByteReference(v));
        });
        x.dispose();
        y.dispose();
      }
    }
  });

  test("more than 65,535 workgroups, and frames above the binding limit", async () => {
    const limit = device.info.limits.maxStorageBufferBindingSize;
    const big = limit <= 2 ** 28;
    if (!big) console.log(`binding limit ${limit}: only the workgroup count is tested here`);
    const [frames, height, width, channels] = [
      3,
      512,
      big ? Math.ceil(limit / 3 / 512 / 16 / 2) + 8 : 6144,
      8,
    ];
    const x = device.zeros([1, frames, height, width, channels], "f16");
    const mark = device.upload([1, 2, 3, 4, 5, 6, 7, 8], [8], "f16");
    const flat = x.reshape([frames * height * width, channels]);
    const end = flat.rows(flat.dim(0) - 1, flat.dim(0));
    device.copyBytes(mark, end);
    const y = resizeNearest(device, x, [frames, height * 2, width * 2], { exact: true });
    const back = averagePool(device, y, { height: 2, width: 2 });
    const out = back.reshape([frames * height * width, channels]);
    const tail = out.rows(out.dim(0) - 2, out.dim(0));
    expect([...(await device.read(tail))]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (const t of [x, mark, flat, end, y, back, out, tail]) t.dispose();
  });

  test("refuses what is no feature map", () => {
    expect(() => resizeNearest(device, device.zeros([2, 3]), [1, 1, 1])).toThrow(
      /expected \[B, T, H, W, C\]/,
    );
    expect(() => averagePool(device, device.zeros([1, 1, 1, 1, 1]), { time: 2 })).toThrow(/do not fit/);
  });
});
