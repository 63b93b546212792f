/** The shader texts themselves: pure functions of the shape, and kept for reading. */
import { expect, test } from "vitest";
import type { DeviceInfo } from "../../device/device-info.js";
import { kernelSource } from "../../kernel/kernel.js";
import { attentionKernel } from "./attention.wgsl.js";
import type { AttentionShape } from "./attention-common.wgsl.js";
import { chooseThreadsY, tileQueries } from "./attention-tile.wgsl.js";

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
const limits = { maxComputeWorkgroupStorageSize: 16_384 } as DeviceInfo["limits"];
const gpu = { subgroupSize: undefined, isSoftware: false, limits };
const software = { subgroupSize: 8, isSoftware: true, limits };
const rows = [130];

test.each([
  ["tile-f32", attentionKernel(shape, "portable", gpu, rows)],
  [
    "tile-f16",
    attentionKernel({ ...shape, query: "f16", key: "f16", value: "f16", output: "f16" }, "f16", gpu, rows),
  ],
  [
    "subgroup-context",
    attentionKernel(
      { ...shape, headDim: 24, context: { key: "f32", value: "f32" }, logSumExp: true },
      "subgroups",
      software,
      rows,
    ),
  ],
  [
    "subgroup-causal-bias",
    attentionKernel(
      { ...shape, headDim: 8, rows: false, causal: true, relativeBias: true },
      "subgroups",
      software,
      rows,
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
    attentionKernel(v, "portable", gpu, rows).kernel,
    attentionKernel(v, "portable", software, rows).kernel,
    attentionKernel(v, "f16", gpu, rows).kernel,
    attentionKernel(v, "subgroups", software, rows).kernel,
    attentionKernel(v, "subgroups", { ...software, subgroupSize: 4 }, rows).kernel,
  ]);
  const textOf = new Map<string, string>();
  for (const kernel of kernels) {
    const text = kernelSource(kernel);
    expect(textOf.get(kernel.key) ?? text, kernel.key).toBe(text);
    textOf.set(kernel.key, text);
  }
  expect(new Set(textOf.values()).size).toBe(textOf.size);
});

test("tiles fit the rows and the workgroup memory", () => {
  const tile = (length: number, memory: number) => tileQueries(chooseThreadsY([length, length], memory));
  expect(tile(1560, 49_152)).toBe(64); // 25 tiles, 2.6 % idle
  expect(tile(260, 49_152)).toBe(96); // 3 tiles instead of 5: 10 % idle instead of 19
  expect(tile(390, 49_152)).toBe(80); // 5 tiles, 2.5 % idle
  expect(tile(260, 16_384)).toBe(48);
  expect(tile(1, 49_152)).toBe(48);
  expect(tile(100_000, 49_152)).toBe(64);
});

test("never more storage buffers than every device has, context and log-sum-exp included", () => {
  const most = { ...shape, context: { key: "f32", value: "f32" }, logSumExp: true } as const;
  expect(attentionKernel(most, "portable", gpu, rows).kernel.bindings.length).toBeLessThanOrEqual(8);
});
