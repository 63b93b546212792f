import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import { relativeL2, seededNormal, testDevice } from "../../testing.js";
import { rotary } from "./rotary.js";
import { rotaryReference } from "./rotary.reference.js";

/** f32: three roundings. f16, bf16: half a unit of 11 or 8 significant bits. */
const TOLERANCE = { f32: 3e-7, f16: 5e-4, bf16: 4e-3 } as const;

describe("rotary", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  test.each(["f32", "f16", "bf16"] as const)("%s: both styles over odd shapes and ranges", async (dtype) => {
    for (const [shape, start, end, dims] of [
      [[1, 1, 1, 2], 0, 1, 2],
      [[2, 3, 1, 6], 0, 3, 6],
      [[1, 5, 3, 6], 1, 4, 2],
      [[2, 7, 2, 4], 0, 7, 4],
      [[2, 13, 3, 12], 3, 9, 12],
      [[1, 13, 3, 16], 0, 13, 8],
      [[2, 37, 2, 128], 5, 37, 128],
      [[1, 9, 5, 128], 2, 2, 128],
      [[1, 9, 5, 64], 0, 8, 44],
    ] as const) {
      const n = shape.reduce((a: number, b) => a * b, 1);
      const tableRows = end - start + 2;
      const angles = seededNormal(tableRows * (dims / 2), 2, 3);
      const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
      const cos = device.upload(cosines, [tableRows, dims / 2]);
      const sin = device.upload(sines, [tableRows, dims / 2]);
      for (const style of ["interleaved", "half"] as const) {
        const x = device.upload(seededNormal(n, 1), shape, dtype);
        const before = await device.read(x);
        rotary(device, x, cos, sin, { style, start, end, dims });
        const expected = rotaryReference(before, cosines, sines, { shape, style, start, end, dims });
        const got = await device.read(x);
        const label = `${style} [${shape}] ${start}..${end} of ${dims}`;
        expect(relativeL2(got, expected), label).toBeLessThan(TOLERANCE[dtype]);
        // What is not rotated keeps its bits.
        const untouched = expected.every((v, i) => v !== before[i] || got[i] === before[i]);
        expect(untouched, label).toBe(true);
        x.dispose();
      }
      cos.dispose();
      sin.dispose();
    }
  });

  test("more than 65,535 workgroups, and pieces above the binding limit", async () => {
    const tokens = 1_100_003;
    const shape = [1, tokens, 1, 64] as const;
    const x = device.zeros(shape, "f16");
    const ones = device.upload(new Float32Array(64).fill(1), [1, 64], "f16");
    const flat = x.reshape([tokens, 64]);
    const last = flat.rows(tokens - 1, tokens);
    device.copyBytes(ones, last);
    const [cosines, sines] = [new Float32Array(32).fill(0.5), new Float32Array(32).fill(0.25)];
    const cos = device.upload(cosines, [1, 32]);
    const sin = device.upload(sines, [1, 32]);
    rotary(device, x, cos, sin, { style: "half", start: tokens - 1 });
    const got = await device.read(last);
    expect([got[0], got[31], got[32], got[63]]).toEqual([0.25, 0.25, 0.75, 0.75]);
    for (const t of [x, ones, flat, last, cos, sin]) t.dispose();
  });

  test("refuses tables that are too small", () => {
    const x = device.zeros([1, 4, 1, 8]);
    const table = device.zeros([3, 4]);
    expect(() => rotary(device, x, table, table, { style: "half" })).toThrow(/at least 4, 4/);
    rotary(device, x, table, table, { style: "half", start: 1 });
  });
});
