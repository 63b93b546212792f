/** How the rows of a norm are shared between threads. Pure: no device inside. */
import { defineKernelFamily, type KernelRule } from "../../kernel/kernel-family.js";
import { coreOnly, sharedWork } from "../../kernel/requirements.js";
import {
  type RowNormShape,
  type RowNormVariant,
  rowNormKernel,
  type WholeRowsVariant,
} from "./row-norm.wgsl.js";

export interface RowNormSize {
  readonly rows: number;
  readonly channels: number;
}

/** Two or three vec4f per thread: the fastest of 1 to 256 lanes on an H100 for 96, 128, 1536 and 5120 channels. */
export function sharedRows(channels: number): WholeRowsVariant {
  const threads = 256;
  const lanes = 2 ** Math.round(Math.log2(channels / 10));
  return { kind: "shared", lanes: Math.min(threads, Math.max(2, lanes)), threads };
}

type Rule = KernelRule<RowNormShape, RowNormSize, RowNormVariant>;

const wholeVectors = ({ channels }: RowNormSize) =>
  channels % 4 === 0 ? undefined : `${channels} channels are no multiple of 4`;

const shared: Rule = {
  id: "shared",
  precision: "f32",
  ...sharedWork,
  fits: (_, size) => wholeVectors(size) ?? (size.channels < 16 ? "for 16 channels or more" : undefined),
  variant: (_, { channels }) => sharedRows(channels),
};

const rows: Rule = {
  id: "rows",
  precision: "f32",
  ...coreOnly,
  fits: (_, size) => wholeVectors(size),
  variant: () => ({ kind: "rows" }),
};

const elements: Rule = {
  id: "elements",
  precision: "f32",
  ...coreOnly,
  fits: () => undefined,
  variant: () => ({ kind: "elements" }),
};

export const rowNormFamily = defineKernelFamily({
  name: "row-norm",
  rules: [shared, rows, elements],
  kernel: rowNormKernel,
  typical: [
    {
      name: "layer norm with modulation",
      shape: {
        kind: "layer",
        x: "f32",
        y: "f16",
        tables: { scale: "f32", shift: "f32" },
        activation: undefined,
        inPlace: false,
      },
      size: { rows: 32_760, channels: 1536 },
    },
    {
      name: "RMS norm of heads, in place",
      shape: {
        kind: "rms",
        x: "f16",
        y: "f16",
        tables: { weight: "f32" },
        activation: undefined,
        inPlace: true,
      },
      size: { rows: 32_760 * 12, channels: 128 },
    },
    {
      name: "L2 norm of 3 channels",
      shape: {
        kind: "l2",
        x: "f32",
        y: "bf16",
        tables: { weight: "f32", bias: "bf16" },
        activation: "silu",
        inPlace: false,
      },
      size: { rows: 480 * 832, channels: 3 },
    },
  ],
});
