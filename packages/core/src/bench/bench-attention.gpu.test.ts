/** The benchmark's own arithmetic. */
import type { Device } from "@lvsa/runtime";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { benchAttention } from "./bench-attention.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("attended fractions fall into five steps, time follows them, and everything is freed", async () => {
  const before = device.memory().liveTensors;
  const bench = await benchAttention(device, { patchesPerFrame: 12, repeats: 1, minMilliseconds: 1 });
  console.log(
    `${bench.device}: dense ${bench.dense.milliseconds.toFixed(1)} ms, efficiency ` +
      `${bench.rows.map((r) => `${r.efficiency.toFixed(2)} at ${r.attendedFraction.toFixed(2)}`).join(", ")}, ` +
      `mean ${bench.meanEfficiency.toFixed(2)}`,
  );
  const fractions = bench.rows.map((row) => row.attendedFraction);
  expect(fractions).toHaveLength(5);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  expect(fractions[0]).toBeCloseTo(0.25, 2);
  for (const row of bench.rows) expect(row.efficiency * row.timeRatio).toBeCloseTo(row.attendedFraction, 10);
  expect(device.memory().liveTensors).toBe(before);
  // How fast is a benchmark's business (`lvsa bench kernels`), not a test's: a busy machine must not fail it.
  for (const row of bench.rows) expect(row.timeRatio).toBeGreaterThan(0);
});
