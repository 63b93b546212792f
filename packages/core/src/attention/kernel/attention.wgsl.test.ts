/** The shader texts themselves: pure functions of the shape, and kept for reading. */
import { kernelSource } from "@lvsa/runtime";
import { expect, test } from "vitest";
import { attentionKernel } from "./attention.wgsl.js";
import type { AttentionShape } from "./attention-common.wgsl.js";

const shape: AttentionShape = {
  headDim: 64,
  query: "f32",
  key: "f32",
  value: "f32",
  output: "f32",
  context: undefined,
  rows: true,
  causal: false,
  relativeBias: false,
  logSumExp: false,
};
const gpu = { subgroupSize: undefined, isSoftware: false };
const software = { subgroupSize: 8, isSoftware: true };

test.each([
  ["tile-f32", attentionKernel(shape, "portable", gpu)],
  [
    "tile-f16",
    attentionKernel({ ...shape, query: "f16", key: "f16", value: "f16", output: "f16" }, "f16", gpu),
  ],
  [
    "subgroup-context",
    attentionKernel(
      { ...shape, headDim: 24, context: { key: "f32", value: "f32" }, logSumExp: true },
      "subgroups",
      software,
    ),
  ],
  [
    "subgroup-causal-bias",
    attentionKernel(
      { ...shape, headDim: 8, rows: false, causal: true, relativeBias: true },
      "subgroups",
      software,
    ),
  ],
] as const)("%s", async (name, { kernel }) => {
  await expect(kernelSource(kernel)).toMatchFileSnapshot(`__snapshots__/attention.${name}.wgsl`);
});

test("whatever changes the text changes the key", () => {
  const variants: AttentionShape[] = [
    shape,
    { ...shape, headDim: 128 },
    { ...shape, key: "f16" },
    { ...shape, value: "bf16" },
    { ...shape, output: "f16" },
    { ...shape, rows: false },
    { ...shape, causal: true },
    { ...shape, relativeBias: true },
    { ...shape, logSumExp: true },
    { ...shape, context: { key: "f32", value: "f32" } },
    { ...shape, context: { key: "f16", value: "f32" } },
    { ...shape, query: "f16", key: "f16", value: "f16" },
  ];
  const kernels = variants.flatMap((v) => [
    attentionKernel(v, "portable", gpu).kernel,
    attentionKernel(v, "portable", software).kernel,
    attentionKernel(v, "f16", gpu).kernel,
    attentionKernel(v, "subgroups", software).kernel,
    attentionKernel(v, "subgroups", { subgroupSize: 4, isSoftware: true }).kernel,
  ]);
  const textOf = new Map<string, string>();
  for (const kernel of kernels) {
    const text = kernelSource(kernel);
    expect(textOf.get(kernel.key) ?? text, kernel.key).toBe(text);
    textOf.set(kernel.key, text);
  }
  expect(new Set(textOf.values()).size).toBe(textOf.size);
});

test("never more storage buffers than every device has, context and log-sum-exp included", () => {
  const most = { ...shape, context: { key: "f32", value: "f32" }, logSumExp: true } as const;
  expect(attentionKernel(most, "portable", gpu).kernel.bindings.length).toBeLessThanOrEqual(8);
});
