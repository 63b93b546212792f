/** The shader texts themselves: pure functions of the shape, and kept for reading. */
import { type Kernel, KernelChooser, kernelSource } from "@lvsa/runtime";
import { PRETEND_DEVICES } from "@lvsa/runtime/testing";
import { expect, test } from "vitest";
import { attentionFamily } from "./attention.wgsl.js";
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
const { core, nvidia, lavapipe, swiftshader } = PRETEND_DEVICES;

function kernel(given: Partial<AttentionShape>, device = core!): Kernel {
  const whole = { ...shape, ...given };
  const { variant } = new KernelChooser(device, { math: "exact" }).choose(attentionFamily, whole, {
    queries: 100,
    keys: 100,
  });
  return attentionFamily.kernel(whole, variant);
}
const halves = { query: "f16", key: "f16", value: "f16", output: "f16" } as const;

test.each([
  ["tile-f32", kernel({})],
  ["tile-f16", kernel(halves, nvidia)],
  [
    "subgroup-context",
    kernel({ headDim: 24, context: { key: "f32", value: "f32" }, logSumExp: true }, lavapipe),
  ],
  ["subgroup-causal-bias", kernel({ headDim: 8, rows: false, causal: true, relativeBias: true }, lavapipe)],
] as const)("%s", async (name, found) => {
  await expect(kernelSource(found)).toMatchFileSnapshot(`__snapshots__/use.${name}.wgsl`);
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
  const devices = [core, nvidia, lavapipe, swiftshader];
  const kernels = variants.flatMap((v) => devices.map((device) => kernel(v, device)));
  const textOf = new Map<string, string>();
  for (const found of kernels) {
    const text = kernelSource(found);
    expect(textOf.get(found.key) ?? text, found.key).toBe(text);
    textOf.set(found.key, text);
  }
  expect(new Set(textOf.values()).size).toBe(textOf.size);
});

test("never more storage buffers than every device has, context and log-sum-exp included", () => {
  const most = { ...shape, context: { key: "f32", value: "f32" }, logSumExp: true } as const;
  expect(kernel(most).bindings.length).toBeLessThanOrEqual(8);
});
