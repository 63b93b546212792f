/** How the sums of group norm are shared between threads. Pure: no device inside. */
import { defineKernelFamily, type KernelRule } from "../../kernel/kernel-family.js";
import { coreOnly, sharedWork } from "../../kernel/requirements.js";
import { type GroupChunksShape, type GroupChunksVariant, groupChunksKernel } from "./group-norm.wgsl.js";

export interface GroupChunksSize {
  readonly positions: number;
  /** Channels per group. */
  readonly width: number;
}

type Rule = KernelRule<GroupChunksShape, GroupChunksSize, GroupChunksVariant>;

const shared: Rule = {
  id: "shared",
  precision: "f32",
  ...sharedWork,
  fits: () => undefined,
  variant: () => ({ lanes: 64, elements: 16_384 }),
};

const chunks: Rule = {
  id: "chunks",
  precision: "f32",
  ...coreOnly,
  fits: () => undefined,
  variant: () => ({ lanes: 1, elements: 1024 }),
};

export const groupNormFamily = defineKernelFamily({
  name: "group-norm",
  rules: [shared, chunks],
  kernel: groupChunksKernel,
  typical: [
    {
      name: "16 channels per group, f16",
      shape: { x: "f16", vector: true },
      size: { positions: 9 * 480 * 720, width: 16 },
    },
    {
      name: "3 channels per group, f32",
      shape: { x: "f32", vector: false },
      size: { positions: 9 * 480 * 720, width: 3 },
    },
  ],
});
