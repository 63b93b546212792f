/** Every arrangement of the matrix kernel computes attention: on matrices where the device has them, else emulated. */
import type { Device } from "@lvsa/runtime";
import { maxAbsolute, relativeL2 } from "@lvsa/runtime/testing";
import { matrixTestDevice } from "@lvsa/runtime/testing/emulate-matrices";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AttentionLayout, type AttentionRow, attention } from "../../index.js";
import { attentionReference } from "./attention.reference.js";
import { attentionCase } from "./attention-cases.js";
import { type MatrixAttention, matrixAttentionBytes } from "./attention-matrix.wgsl.js";

/** Weights are rounded to f16, 2^-11 at most and 2^-12.8 in the mean, before they are multiplied; sums are f32. */
const WEIGHTS = 4e-4;

let device: Device | undefined;
beforeAll(async () => {
  device = await matrixTestDevice();
});
afterAll(() => device?.dispose());

const arrangements: readonly (MatrixAttention & { headDim: number })[] = [
  { subgroups: 4, keys: 32, split: 2, headDim: 64 },
  { subgroups: 2, keys: 32, headDim: 48 },
];

test.each(arrangements)("%o", async ({ headDim, ...arrangement }) => {
  if (!device) return;
  const variant = { kind: "matrix", ...arrangement } as const;
  const room = device.info.limits.maxComputeWorkgroupStorageSize;
  expect(matrixAttentionBytes(headDim, arrangement)).toBeLessThanOrEqual(room);
  for (const context of [0, 7]) {
    const patches = 37;
    const lists = [[0, 1], [3], [0, 2], []];
    const rows: AttentionRow[] = lists.map((list, f) => ({
      queryStart: f * patches,
      queryEnd: (f + 1) * patches,
      ranges: list.map((k) => [k * patches, (k + 1) * patches] as const),
    }));
    const c = attentionCase(device, {
      queries: 4 * patches,
      heads: 2,
      kvHeads: 1,
      headDim,
      context,
      gain: 6,
      dtype: "f16",
    });
    const layout = AttentionLayout.build(device, rows);
    const input = { ...c.tensors, variant, layout, outDtype: "f32", returnLogSumExp: true } as const;
    const { output, logSumExp } = attention(device, input);
    const want = attentionReference({ ...c.reference, rows });
    expect(relativeL2(await device.read(output), want.output)).toBeLessThan(WEIGHTS);
    // -1e30, where nothing is seen, is another number in f32 than in f64.
    const finite = (values: ArrayLike<number>) => Array.from(values, (v) => Math.max(v, -1e9));
    expect(maxAbsolute(finite(await device.read(logSumExp!)), finite(want.logSumExp))).toBeLessThan(1e-5);
    for (const t of [output, logSumExp!, layout]) t.dispose();
    c.dispose();
  }
});
