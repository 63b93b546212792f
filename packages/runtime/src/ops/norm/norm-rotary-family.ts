/** How the rows of queries and keys are shared between threads. Pure: no device inside. */
import { defineKernelFamily, type KernelRule } from "../../kernel/kernel-family.js";
import { coreOnly, sharedWork } from "../../kernel/requirements.js";
import { type NormRotaryShape, normRotaryKernel } from "./norm-rotary.wgsl.js";
import type { WholeRowsVariant } from "./row-norm.wgsl.js";
import { type RowNormSize, sharedRows } from "./row-norm-family.js";

type Rule = KernelRule<NormRotaryShape, RowNormSize, WholeRowsVariant>;

const shared: Rule = {
  id: "shared",
  precision: "f32",
  ...sharedWork,
  fits: () => undefined,
  variant: (_, { channels }) => sharedRows(channels),
};

const rows: Rule = {
  id: "rows",
  precision: "f32",
  ...coreOnly,
  fits: () => undefined,
  variant: () => ({ kind: "rows" }),
};

export const normRotaryFamily = defineKernelFamily({
  name: "norm-rotary",
  rules: [shared, rows],
  kernel: normRotaryKernel,
  typical: [
    {
      name: "RMS norm over all heads, pairs of neighbours, f16",
      shape: { kind: "rms", style: "interleaved", x: "f16", weight: "f32", table: "f32" },
      size: { rows: 32_760, channels: 1536 },
    },
    {
      name: "layer norm of heads, f16",
      shape: { kind: "layer", style: "interleaved", x: "f16", weight: "f32", bias: "f32", table: "f32" },
      size: { rows: 17_550 * 48, channels: 64 },
    },
    {
      name: "RMS norm of heads, pairs over half a head, f32",
      shape: { kind: "rms", style: "half", x: "f32", weight: "bf16", table: "f32" },
      size: { rows: 4096 * 32, channels: 128 },
    },
  ],
});
