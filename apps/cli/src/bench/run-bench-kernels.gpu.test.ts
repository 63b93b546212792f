/** Kernels of given shapes are measured one by one, and nothing stays behind. */
import { testDevice } from "@lvsa/runtime/testing";
import { expect, test } from "vitest";
import { parseKernelShape } from "./kernel-shapes.js";
import { runBenchKernels } from "./run-bench-kernels.js";

test("each shape is one measurement with its own kernels", async () => {
  const device = await testDevice();
  const before = device.memory().liveTensors;
  const shapes = ["40x24x16", "conv:2x5x6x8x12", "attention:6x8x1x32"].map(parseKernelShape);
  const { attention, products } = await runBenchKernels(device, shapes);
  expect(products.map(({ kind, gflops, milliseconds }) => [kind, gflops * milliseconds * 1e6])).toEqual([
    ["linear", expect.closeTo(2 * 40 * 24 * 16, 3)],
    ["conv", expect.closeTo(2 * 2 * 5 * 6 * 8 * 12 * 27, 3)],
  ]);
  expect(products.map(({ kernels }) => kernels.split(":")[0])).toEqual(["linear", "conv3d"]);
  expect(attention[0]!.shape).toMatchObject({ frames: 6, patchesPerFrame: 8, heads: 1, headDim: 32 });
  expect(attention[0]!.rows).toHaveLength(5);
  expect(device.memory().liveTensors).toBe(before);
  device.dispose();
});
