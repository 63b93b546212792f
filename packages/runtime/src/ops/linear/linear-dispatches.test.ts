/** How long one dispatch keeps the GPU: counted at real sizes, on a device that computes nothing. */
import { expect, it } from "vitest";
import { countingGpu, linear } from "../../index.js";

/** As the slowest real GPU that is of use here computes. */
const FLOPS_PER_SECOND = 1e12;

// Rows, inputs and outputs of Wan's feed-forward layers, and of a layer of few rows.
it.each([
  ["Wan 1.3B, 81 frames at 480p", 32_760, 1536, 8960],
  ["Wan 14B, 81 frames at 720p", 75_600, 5120, 13_824],
  ["the same, back", 75_600, 13_824, 5120],
  ["a prompt", 512, 4096, 10_240],
])("is no longer than a quarter of a second at 1 TFLOP/s: %s", (_name, M, K, N) => {
  const limits = { maxBufferSize: 2 ** 34, maxStorageBufferBindingSize: 2 ** 34 };
  const gpu = countingGpu({ limits });
  const { device } = gpu;
  const x = device.empty([M, K]);
  const weight = device.empty([N, K]);
  const { dispatches: before, submits: submitted } = gpu.created;
  linear(device, x, weight);
  const count = gpu.created.dispatches - before;
  device.submit();
  // Two of them, or layers of many small ones, are the longest that others wait.
  const submits = gpu.created.submits - submitted;
  const seconds = (2 * M * N * K) / FLOPS_PER_SECOND;
  expect(seconds / count).toBeLessThanOrEqual(0.25);
  // And not much shorter: whole tiles are left out at most.
  expect(count).toBeLessThanOrEqual(Math.ceil(seconds / 0.22));
  expect(submits).toBe(Math.ceil(count / 2));
});

it("is submitted by work, not only by number: layers after each other are no longer together", () => {
  const gpu = countingGpu();
  const { device } = gpu;
  const [M, K, N] = [4096, 2048, 2048];
  const tensors = [device.empty([M, K]), device.empty([N, K])] as const;
  device.submit();
  const { submits } = gpu.created;
  for (let layer = 0; layer < 100; layer++) linear(device, ...tensors).dispose();
  device.submit();
  const seconds = (100 * 2 * M * N * K) / FLOPS_PER_SECOND;
  expect(gpu.created.submits - submits).toBeGreaterThanOrEqual(Math.ceil(seconds / 0.5));
  expect(gpu.created.submits - submits).toBeLessThanOrEqual(Math.ceil(seconds / 0.4));
});
