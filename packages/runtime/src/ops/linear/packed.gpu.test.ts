/** Quantized weights in GPU memory: the bytes they take, the numbers they stand for, and products with them. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeGguf, openGguf } from "../../gguf.js";
import {
  bytesPerElement,
  type Device,
  encodeSafetensors,
  type GgufType,
  linear,
  memorySource,
  openSafetensors,
  type PackedDType,
  uploadPacked,
  type WeightSource,
  widen,
  widenPacked,
} from "../../index.js";
import { canRun, relativeL2, seededNormal, testDevice } from "../../testing.js";
import { plainWeights } from "../../weights/quantized/plain-weights.js";
import { linearReference } from "./linear.reference.js";
import { linearFamily } from "./linear-family.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

const [N, K] = [64, 512];

/**
 * Bytes of every kind; the two bytes of every f16 scale are set to a finite one, every fifth of them to a subnormal one, which
 * small weights in blocks of 256 have.
 */
function blocks(type: GgufType, bytes: number, scales: readonly number[]): Uint8Array {
  const count = (N * K) / (type.endsWith("_K") ? 256 : 32);
  const out = new Uint8Array(count * bytes).map((_, i) => (i * 197 + (i >> 3) * 31) & 0xff);
  for (let block = 0; block < count; block++) {
    const high = block % 5 === 0 ? block % 4 : 0x20 + (block % 8);
    for (const at of scales) out.set([(block * 37) & 0xff, high], block * bytes + at);
  }
  return out;
}

const gguf = (type: GgufType, bytes: number, scales: readonly number[]): Promise<WeightSource> =>
  openGguf(
    memorySource(
      encodeGguf({ "a.weight": { type, shape: [N, K], data: blocks(type, bytes, scales) } }),
      "file.gguf",
    ),
  );

async function fp8(dtype: "F8_E4M3" | "F8_E5M2", scale?: { shape: number[]; data: Float32Array }) {
  // Every code but those that stand for no number.
  const finite = Array.from({ length: 256 }, (_, code) => code).filter((code) =>
    dtype === "F8_E4M3" ? (code & 127) < 127 : (code & 127) < 124,
  );
  const data = Uint8Array.from({ length: N * K }, (_, i) => finite[(i * 7) % finite.length]!);
  const file = encodeSafetensors({
    "a.weight": { dtype, shape: [N, K], data },
    ...(scale ? { "a.weight_scale": { dtype: "F32" as const, ...scale } } : {}),
  });
  return plainWeights(await openSafetensors(memorySource(file, "file.safetensors")));
}

const CASES: readonly (readonly [string, PackedDType, () => Promise<WeightSource>])[] = [
  ["Q8_0", "q8_0", () => gguf("Q8_0", 34, [0])],
  ["Q4_0", "q4_0", () => gguf("Q4_0", 18, [0])],
  ["Q4_K", "q4_k", () => gguf("Q4_K", 144, [0, 2])],
  ["Q5_K", "q5_k", () => gguf("Q5_K", 176, [0, 2])],
  ["Q6_K", "q6_k", () => gguf("Q6_K", 210, [208])],
  ["fp8 e4m3 without a scale", "f8_e4m3", () => fp8("F8_E4M3")],
  ["fp8 e4m3, one scale", "f8_e4m3", () => fp8("F8_E4M3", { shape: [1], data: new Float32Array([0.37]) })],
  [
    "fp8 e4m3, a scale per row",
    "f8_e4m3",
    () => fp8("F8_E4M3", { shape: [N], data: Float32Array.from({ length: N }, (_, i) => 0.1 + i / 7) }),
  ],
  [
    "fp8 e4m3, blocks of 128",
    "f8_e4m3",
    () => fp8("F8_E4M3", { shape: [1, 4], data: new Float32Array([0.3, 0.7, 1.1, 1.9]) }),
  ],
  ["fp8 e5m2, one scale", "f8_e5m2", () => fp8("F8_E5M2", { shape: [1], data: new Float32Array([0.01]) })],
];

describe.each(CASES)("%s", (_, dtype, open) => {
  test("stays quantized in memory and stands for the file's numbers", async () => {
    const source = await open();
    const expected = widen(await source.read("a.weight"), source.info("a.weight").dtype, "a.weight");
    const before = device.memory().liveBytes;
    const packed = (await uploadPacked(device, source, "a.weight"))!;
    expect(packed.dtype).toBe(dtype);
    expect(device.memory().liveBytes - before).toBe(N * K * bytesPerElement(dtype));
    expect(bytesPerElement(dtype)).toBeLessThan(1.07);
    const wide = widenPacked(device, packed, "f32");
    const values = await device.read(wide);
    // A fused product in `d * q - m` is rounded once less; all others are one product, which is exact to the last bit.
    if (dtype === "q4_k" || dtype === "q5_k") expect(relativeL2(values, expected)).toBeLessThan(1e-7);
    else expect(values).toEqual(expected);
    for (const tensor of [packed, wide]) tensor.dispose();
    await source.close();
  });

  test("products are those with its numbers", async () => {
    const source = await open();
    const weight = widen(
      await source.read("a.weight"),
      source.info("a.weight").dtype,
      "a.weight",
    ) as Float32Array;
    const packed = (await uploadPacked(device, source, "a.weight", { chunkBytes: 4096 }))!;
    // All kernels read through one function: one type in all of them, the others in the one that is compiled quickly.
    const rules = linearFamily.rules.filter(
      ({ id }) =>
        id === "gemv" || (dtype === "q4_k" && id !== "tile-f16" && canRun(device, linearFamily, id)),
    );
    expect(rules.length).toBeGreaterThan(dtype === "q4_k" ? 1 : 0);
    for (const { id, precision } of rules) {
      const M = id === "gemv" ? 3 : 40;
      const x = seededNormal(M * K, 1);
      const expected = linearReference({ x, weight, M, N, K });
      const y = linear(device, device.upload(x, [M, K]), packed, { tuning: { rule: id } });
      // f32 sums of 512 terms; rounding operands to f16 costs three digits.
      expect(relativeL2(await device.read(y), expected), id).toBeLessThan(precision === "f16" ? 2e-3 : 1e-5);
      y.dispose();
    }
    packed.dispose();
    await source.close();
  });
});

test("rows that blocks do not divide, and scales that cut a run of codes, are read as floats", async () => {
  const tensor = { type: "Q8_0" as const, shape: [2, 32], data: new Uint8Array(68) };
  const source = await openGguf(memorySource(encodeGguf({ "a.weight": tensor }), "file.gguf"));
  expect(await uploadPacked(device, source, "a.weight")).toBeUndefined();
  const columns = await fp8("F8_E4M3", { shape: [1, K], data: new Float32Array(K).fill(1) });
  expect(await uploadPacked(device, columns, "a.weight")).toBeUndefined();
});

test("a packed tensor is not read as numbers", async () => {
  const packed = (await uploadPacked(device, await fp8("F8_E4M3"), "a.weight"))!;
  await expect(device.read(packed)).rejects.toMatchObject({ code: "DTYPE_MISMATCH" });
  packed.dispose();
});
