/** A device that does not check indices: what it runs, and that guards see what leaves a tensor. */
import { expect, test } from "vitest";
import {
  borrowTensor,
  defineKernel,
  embedding,
  type Kernel,
  kernelSource,
  linear,
  type PackedDType,
  packedBlock,
  widenPacked,
} from "../index.js";
import { guardedDevice } from "../testing/guard-buffers.js";
import { seededNormal, testDevice } from "../testing.js";

/** Writes one word at `at`, wherever that is. */
const stray = (inBounds: boolean): Kernel<{ at: "u32" }> =>
  defineKernel({
    inBounds,
    name: "stray",
    key: String(inBounds),
    bindings: [{ name: "y", type: "array<u32>", access: "read_write" }],
    params: { at: "u32" },
    body: () => "@compute @workgroup_size(1) fn main() { y[params.at] = 7u; }",
  });

test("a kernel that does not say that it stays inside runs only where indices are checked", async () => {
  const checked = await testDevice({ bounds: "checked" });
  const { device } = await guardedDevice();
  try {
    expect(device.unchecked).toBe(true);
    expect(checked.unchecked).toBe(false);
    for (const one of [checked, device]) {
      const y = one.zeros([16], "u32");
      const run = () =>
        one.dispatch({ kernel: stray(false), tensors: [y], params: { at: 3 }, workgroups: 1 });
      if (one.unchecked) {
        expect(run).toThrow(expect.objectContaining({ code: "UNCHECKED_KERNEL" }));
        await expect(one.warm([stray(false)])).rejects.toMatchObject({ code: "UNCHECKED_KERNEL" });
      } else {
        run();
        expect([...(await one.readIntegers(y))].indexOf(7)).toBe(3);
      }
      y.dispose();
    }
  } finally {
    checked.dispose();
    device.dispose();
  }
});

test("guards see a write behind the end, and none where products stay inside", async () => {
  const { device, check } = await guardedDevice();
  try {
    const [M, N, K] = [7, 9, 11];
    const x = device.upload(seededNormal(M * K, 1), [M, K]);
    const weight = device.upload(seededNormal(N * K, 2), [N, K]);
    const y = linear(device, x, weight, { tuning: { rule: "tile" } });
    expect((await device.read(y)).every(Number.isFinite)).toBe(true);
    expect(await check()).toMatchObject({ broken: [], buffers: 3 });
    const size = y.buffer.size / 4 - 256;
    device.dispatch({ kernel: stray(true), tensors: [y], params: { at: size + 2 }, workgroups: 1 });
    const { broken } = await check();
    expect(broken).toEqual([expect.stringContaining("8 bytes behind its end")]);
  } finally {
    device.dispose();
  }
});

test("packed weights are widened there too, and rows that are no whole blocks are refused", async () => {
  const { device, check } = await guardedDevice();
  try {
    for (const dtype of ["q8_0", "q4_0", "q4_k", "q5_k", "q6_k", "f8_e4m3", "f8_e5m2"] as PackedDType[]) {
      const { elements } = packedBlock(dtype);
      const packed = device.zeros([3, 2 * elements], dtype);
      const wide = widenPacked(device, packed, "f32");
      expect((await device.read(wide)).every((v) => v === 0)).toBe(true);
      const torn = borrowTensor(packed.buffer, [4, elements + elements / 2], dtype);
      const refusal = expect.objectContaining({ code: "SHAPE_MISMATCH" });
      expect(() => widenPacked(device, torn, "f32")).toThrow(refusal);
      const x = device.zeros([1, elements + elements / 2]);
      expect(() => linear(device, x, torn)).toThrow(refusal);
      for (const t of [packed, wide, x]) t.dispose();
    }
    expect((await check()).broken).toEqual([]);
  } finally {
    device.dispose();
  }
});

test("token ids that are no rows of the table: refused as numbers, rows of zeros from the GPU's memory", async () => {
  const { device } = await guardedDevice();
  try {
    const table = device.upload([1, 2, 3, 4, 5, 6], [3, 2]);
    for (const id of [-1, 3, 0x7fffffff]) {
      expect(() => embedding(device, table, Int32Array.of(id))).toThrow(
        expect.objectContaining({ code: "SHAPE_MISMATCH", message: expect.stringContaining(`row ${id}`) }),
      );
    }
    // What is read past an end is NaN here.
    const ids = device.upload([2, -1, 3, 0x7fffffff], [4], "i32");
    expect([...(await device.read(embedding(device, table, ids)))]).toEqual([5, 6, 0, 0, 0, 0, 0, 0]);
  } finally {
    device.dispose();
  }
});

test("the kernel's text does not depend on it", () => {
  expect(kernelSource(stray(true))).toBe(kernelSource(stray(false)));
});
