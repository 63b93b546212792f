/** A device that does not check indices: what it runs, and that guards see what leaves a tensor. */
import { expect, test } from "vitest";
import { defineKernel, type Kernel, kernelSource, linear } from "../index.js";
import { guardedDevice } from "../testing/guard-buffers.js";
import { seededNormal, testDevice } from "../testing.js";

/** Writes one word at `at`, wherever that is. */
const stray = (inBounds: boolean): Kernel<{ at: "u32" }> =>
  defineKernel({
    ...(inBounds ? { inBounds } : {}),
    name: "stray",
    key: String(inBounds),
    bindings: [{ name: "y", type: "array<u32>", access: "read_write" }],
    params: { at: "u32" },
    body: () => "@compute @workgroup_size(1) fn main() { y[params.at] = 7u; }",
  });

test("a kernel that does not say that it stays inside runs only where indices are checked", async () => {
  const checked = await testDevice();
  const { device } = await guardedDevice();
  try {
    expect(device.unchecked).toBe(true);
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

test("the kernel's text does not depend on it", () => {
  expect(kernelSource(stray(true))).toBe(kernelSource(stray(false)));
});
