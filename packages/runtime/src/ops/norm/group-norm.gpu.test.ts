import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../device/device.js";
import type { FloatDType } from "../../tensor/dtype.js";
import { poisonMemory } from "../../testing/poison.js";
import { relativeL2, seededNormal, testDevice } from "../../testing.js";
import { activationReference } from "../elementwise/elementwise.reference.js";
import { groupNorm, groupNormStatistics } from "./group-norm.js";
import { groupNormReference } from "./group-norm.reference.js";
import { groupChunksKernel } from "./group-norm.wgsl.js";

/** f32: rounding of sums. f16, bf16: half a unit of what is stored. */
const TOLERANCE: Record<FloatDType, number> = { f32: 2e-6, f16: 5e-4, bf16: 4e-3 };
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

describe("groupNorm", () => {
  let device: Device;
  beforeAll(async () => {
    device = await testDevice();
  });
  afterAll(() => device.dispose());

  async function stored(shape: readonly number[], seed: number, dtype: FloatDType = "f32", mean = 0.5) {
    const t = device.upload(
      seededNormal(size(shape), seed).map((v) => v + mean),
      shape,
      dtype,
    );
    return { t, values: await device.read(t) };
  }

  test.each(["f32", "f16", "bf16"] as const)("%s: odd shapes, one and many groups", async (dtype) => {
    for (const [shape, groups] of [
      [[1, 1, 1, 1, 1], 1],
      [[2, 1, 3, 3, 3], 3],
      [[1, 2, 5, 3, 5], 1],
      [[2, 2, 3, 5, 6], 2],
      [[1, 1, 7, 3, 12], 4],
      [[2, 3, 5, 7, 16], 4],
      [[1, 2, 20, 21, 64], 32],
      [[1, 3, 30, 31, 8], 2],
    ] as const) {
      const channels = shape[4];
      const x = await stored(shape, 1, dtype);
      const weight = await stored([channels], 2, dtype);
      const bias = await stored([channels], 3);
      poisonMemory(device, shape, dtype);
      const y = groupNorm(device, x.t, { groups, weight: weight.t, bias: bias.t, eps: 1e-6 });
      const expected = groupNormReference(x.values, {
        batch: shape[0],
        channels,
        groups,
        eps: 1e-6,
        weight: weight.values,
        bias: bias.values,
      });
      const error = relativeL2(await device.read(y), expected);
      expect(error, `[${shape}] in ${groups} groups`).toBeLessThan(TOLERANCE[dtype]);
      for (const t of [x.t, weight.t, bias.t, y]) t.dispose();
    }
  });

  test("statistics of several parts together are those of the whole", async () => {
    // 33 x 31 positions do not divide into chunks: every part ends with a short one.
    const [frames, height, width, channels] = [3, 33, 31, 8];
    const whole = await stored([1, frames, height, width, channels], 7, "f32", 2);
    const rows = whole.t.reshape([frames, height, width, channels]);
    const parts = Array.from({ length: frames }, (_, f) =>
      rows.rows(f, f + 1).reshape([1, 1, height, width, channels]),
    );
    poisonMemory(device, [1, 1, height, width, channels]);
    const statistics = groupNormStatistics(device, parts, { groups: 2, eps: 1e-6 });
    const expected = groupNormReference(whole.values, { batch: 1, channels, groups: 2, eps: 1e-6 });
    for (const [f, part] of parts.entries()) {
      const y = groupNorm(device, part, { groups: 2, eps: 1e-6, statistics });
      const own = expected.subarray(f * part.size, (f + 1) * part.size);
      expect(relativeL2(await device.read(y), own), `part ${f}`).toBeLessThan(TOLERANCE.f32);
      y.dispose();
    }
    const others = device.zeros([1, 1, height, width, channels + 8]);
    expect(() => groupNormStatistics(device, [parts[0]!, others], { groups: 2, eps: 1e-6 })).toThrow("parts");
    for (const t of [statistics, others, ...parts, rows, whole.t]) t.dispose();
  });

  test("scale and shift maps, then the activation", async () => {
    for (const [shape, groups] of [
      [[2, 2, 3, 5, 8], 2],
      [[1, 2, 3, 3, 3], 1],
    ] as const) {
      const x = await stored(shape, 4, "f16");
      const scaleMap = await stored(shape, 5, "f16");
      const shiftMap = await stored(shape, 6);
      poisonMemory(device, shape);
      const y = groupNorm(device, x.t, {
        groups,
        eps: 1e-6,
        scaleMap: scaleMap.t,
        shiftMap: shiftMap.t,
        activation: "silu",
        outDtype: "f32",
      });
      const expected = groupNormReference(x.values, {
        batch: shape[0],
        channels: shape[4],
        groups,
        eps: 1e-6,
        scaleMap: scaleMap.values,
        shiftMap: shiftMap.values,
      }).map((v) => activationReference(v, "silu"));
      expect(relativeL2(await device.read(y), expected)).toBeLessThan(TOLERANCE.f32);
      for (const t of [x.t, scaleMap.t, shiftMap.t, y]) t.dispose();
    }
  });

  test("keeps precision on a mean that is large against the spread", async () => {
    const shape = [1, 2, 16, 17, 16];
    const x = await stored(shape, 7, "f32", 300);
    const y = groupNorm(device, x.t, { groups: 2, eps: 1e-6 });
    const expected = groupNormReference(x.values, { batch: 1, channels: 16, groups: 2, eps: 1e-6 });
    // The mean near 300 is stored to 1.5e-5 of the unit spread; E[x^2] - E[x]^2 would be off by 5e-3.
    expect(relativeL2(await device.read(y), expected)).toBeLessThan(4e-5);
    x.t.dispose();
    y.dispose();
  });

  test("a chunk shared by a workgroup agrees with a chunk per thread", async () => {
    const [positions, channels, width, chunk] = [150, 24, 8, 64];
    const x = await stored([positions, channels], 8);
    const results: Float32Array[] = [];
    for (const lanes of [1, 64]) {
      const chunks = device.empty([3, 3, 2]);
      device.write(chunks, new Float32Array(18).fill(Number.NaN));
      device.dispatch({
        kernel: groupChunksKernel({ x: "f32", vector: true }, { lanes, elements: 512 }),
        tensors: [x.t, chunks],
        params: { positions, batch: 1, channels, width, chunk, first_chunk: 0 },
        workgroups: lanes === 1 ? 1 : 9,
      });
      results.push(await device.read(chunks));
      chunks.dispose();
    }
    // Only the order of sums differs.
    expect(relativeL2(results[1]!, results[0]!)).toBeLessThan(1e-6);
    x.t.dispose();
  });

  test("more than 65,535 workgroups, and features above the binding limit", async () => {
    const limit = device.info.limits.maxStorageBufferBindingSize;
    const big = limit <= 2 ** 28;
    if (!big) console.log(`binding limit ${limit}: only the workgroup count is tested here`);
    const positions = (big ? Math.ceil(limit / 16) : 65_536 * 256) + 77;
    const x = device.zeros([1, positions, 8], "f16");
    const mark = device.upload([8, 8, 8, 8, -8, -8, -8, -8], [8], "f16");
    const flat = x.reshape([positions, 8]);
    const end = flat.rows(positions - 1, positions);
    device.copyBytes(mark, end);
    const y = groupNorm(device, x, { groups: 2, eps: 1e-6 });
    const out = y.reshape([positions, 8]);
    const tail = out.rows(positions - 2, positions);
    // One element of 8 among n: mean 8 / n, variance 64 / n (to 1e-7).
    const scale = 1 / Math.sqrt(64 / positions + 1e-6);
    const [low, high] = [(-8 / positions) * scale, (8 - 8 / positions) * scale];
    const expected = [
      low,
      low,
      low,
      low,
      -low,
      -low,
      -low,
      -low,
      high,
      high,
      high,
      high,
      -high,
      -high,
      -high,
      -high,
    ];
    expect(relativeL2(await device.read(tail), expected)).toBeLessThan(TOLERANCE.f16);
    for (const t of [x, mark, flat, end, y, out, tail]) t.dispose();
  });

  test("refuses what does not fit", () => {
    const x = device.zeros([1, 1, 2, 2, 6]);
    expect(() => groupNorm(device, x, { groups: 4, eps: 1e-6 })).toThrow(/4 groups/);
    expect(() => groupNorm(device, x, { groups: 2, eps: 1e-6, weight: device.zeros([3]) })).toThrow(/weight/);
  });
});
