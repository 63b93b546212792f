/** Norm and rotation in one pass against both in float64, and against two passes. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Device } from "../../device/device.js";
import type { Tensor } from "../../tensor/tensor.js";
import { canRun, relativeL2, seededNormal, testDevice } from "../../testing.js";
import { rotaryReference } from "../rotary/rotary.reference.js";
import { normRotary } from "./norm-rotary.js";
import { normRotaryFamily } from "./norm-rotary-family.js";
import { rowNormReference } from "./row-norm.reference.js";

/** f32: sums of up to a few hundred terms and three roundings. f16, bf16: half a unit of 11 or 8 significant bits. */
const TOLERANCE = { f32: 1e-6, f16: 5e-4, bf16: 4e-3 } as const;

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

interface Case {
  readonly shape: readonly [number, number, number, number];
  readonly kind: "rms" | "layer";
  readonly over: "head" | "token";
  readonly style: "interleaved" | "half";
  readonly dtype: "f32" | "f16" | "bf16";
  readonly table?: "f32" | "f16";
  readonly plain?: boolean;
}

async function check(c: Case, rule?: string): Promise<void> {
  const { shape, kind, over, style, dtype, table = "f32" } = c;
  const [batch, tokens, heads, dim] = shape;
  const channels = over === "head" ? dim : heads * dim;
  const made: Tensor[] = [];
  const upload = async (
    data: Float32Array,
    size: readonly number[],
    type: "f32" | "f16" | "bf16" = "f32",
  ) => {
    const tensor = device.upload(data, size, type);
    made.push(tensor);
    return { tensor, values: (await device.read(tensor)) as Float32Array };
  };
  // A mean that is not 0, so that layer norm differs from RMS norm.
  const numbers = seededNormal(batch * tokens * heads * dim, 1).map((v) => v + 0.5);
  const x = await upload(numbers, shape, dtype);
  const weight = c.plain ? undefined : await upload(seededNormal(channels, 2), [channels], "bf16");
  const bias = c.plain || kind === "rms" ? undefined : await upload(seededNormal(channels, 3), [channels]);
  const angles = seededNormal((tokens + 1) * (dim / 2), 4, 3);
  const cos = await upload(angles.map(Math.cos), [tokens + 1, dim / 2], table);
  const sin = await upload(angles.map(Math.sin), [tokens + 1, dim / 2], table);
  const eps = 1e-6;
  const normed = rowNormReference(kind, x.values, {
    channels,
    eps,
    weight: weight?.values,
    bias: bias?.values,
  });
  const options = { shape, style, start: 0, end: tokens, dims: dim };
  const want = rotaryReference(normed, cos.values, sin.values, options);
  normRotary(device, x.tensor, {
    ...{ kind, over, style, eps, weight: weight?.tensor, bias: bias?.tensor },
    ...{ cos: cos.tensor, sin: sin.tensor, ...(rule ? { rule } : {}) },
  });
  const got = await device.read(x.tensor);
  expect(relativeL2(got, want), JSON.stringify({ ...c, rule })).toBeLessThan(TOLERANCE[dtype]);
  for (const tensor of made) tensor.dispose();
}

const cases: readonly Case[] = [
  { shape: [1, 1, 1, 8], kind: "rms", over: "head", style: "half", dtype: "f32" },
  { shape: [2, 7, 3, 24], kind: "layer", over: "head", style: "interleaved", dtype: "f32" },
  { shape: [2, 13, 3, 128], kind: "rms", over: "token", style: "interleaved", dtype: "f16" },
  { shape: [1, 67, 2, 64], kind: "rms", over: "head", style: "half", dtype: "f16", table: "f16" },
  { shape: [2, 5, 5, 40], kind: "layer", over: "token", style: "half", dtype: "bf16" },
  { shape: [1, 9, 2, 16], kind: "layer", over: "head", style: "half", dtype: "f32", plain: true },
  // Two passes: no whole vectors in half a head.
  { shape: [2, 5, 3, 6], kind: "rms", over: "head", style: "interleaved", dtype: "f32" },
  { shape: [2, 5, 3, 12], kind: "layer", over: "token", style: "half", dtype: "f16" },
];

test.each(normRotaryFamily.rules.map(({ id }) => id))("%s", async (rule) => {
  if (!canRun(device, normRotaryFamily, rule)) return;
  for (const one of cases) await check(one, one.shape[3] % 8 === 0 ? rule : undefined);
});

test("one dispatch, in pieces above the binding limit", async () => {
  const dispatch = vi.spyOn(device, "dispatch");
  await check({ shape: [1, 3, 1, 8], kind: "rms", over: "head", style: "interleaved", dtype: "f32" });
  expect(dispatch).toHaveBeenCalledTimes(1);
  dispatch.mockRestore();
  const { limits } = device.info;
  const former = limits.maxStorageBufferBindingSize;
  // 40 rows of 512 bytes at a time.
  Object.assign(limits, { maxStorageBufferBindingSize: 20_480 });
  try {
    await check({ shape: [2, 19, 4, 128], kind: "rms", over: "head", style: "half", dtype: "f32" });
    await check({ shape: [2, 19, 4, 32], kind: "rms", over: "token", style: "interleaved", dtype: "f32" });
  } finally {
    Object.assign(limits, { maxStorageBufferBindingSize: former });
  }
});

test("refuses tables and weights that do not fit", () => {
  const x = device.zeros([1, 4, 2, 8]);
  const table = device.zeros([3, 4]);
  const good = device.zeros([4, 4]);
  const weight = device.zeros([8]);
  const common = { kind: "rms", over: "token", style: "half", eps: 1e-6 } as const;
  expect(() => normRotary(device, x, { ...common, cos: table, sin: table })).toThrow(/at least 4, 4/);
  expect(() => normRotary(device, x, { ...common, cos: good, sin: good, weight })).toThrow(/is not \[16\]/);
  for (const t of [x, table, good, weight]) t.dispose();
});
