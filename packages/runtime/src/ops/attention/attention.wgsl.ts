/** Chooses and writes the attention kernel for a shape and a device tier. Pure: the same input, the same text. */
import type { DeviceInfo, KernelTier } from "../../device/device-info.js";
import { defineKernel, type Kernel } from "../../kernel/kernel.js";
import {
  ATTENTION_PARAMS,
  type AttentionShape,
  attentionBindings,
  shapeKey,
} from "./attention-common.wgsl.js";
import { subgroupKernelBody, subgroupQueries } from "./attention-subgroup.wgsl.js";
import { type TileOptions, tileKernelBody, tileQueries } from "./attention-tile.wgsl.js";

export interface AttentionKernel {
  readonly kernel: Kernel<typeof ATTENTION_PARAMS>;
  /** Queries per workgroup. */
  readonly tile: number;
}

export function attentionKernel(
  shape: AttentionShape,
  tier: KernelTier,
  info: Pick<DeviceInfo, "subgroupSize" | "isSoftware" | "limits">,
): AttentionKernel {
  const common = {
    name: "attention",
    bindings: attentionBindings(shape),
    params: ATTENTION_PARAMS,
  } as const;
  if (tier === "subgroups" && info.subgroupSize !== undefined && info.subgroupSize <= 16) {
    const subgroupSize = info.subgroupSize;
    return {
      tile: subgroupQueries(subgroupSize, shape.headDim),
      kernel: defineKernel({
        ...common,
        key: `subgroup-${subgroupSize}-${shapeKey(shape)}`,
        enables: ["subgroups"],
        body: () => subgroupKernelBody(shape, { subgroupSize }),
      }),
    };
  }
  // 8 KB of weights and 8 KB of staging: the 16 KB that every device has.
  const options: TileOptions = { threadsY: 16, stage: 512, halfStage: false, hideLoops: info.isSoftware };
  return {
    tile: tileQueries(options),
    kernel: defineKernel({
      ...common,
      key: `tile-${options.threadsY}-${options.stage}-${options.halfStage}-${options.hideLoops}-${shapeKey(shape)}`,
      ...(options.halfStage ? { enables: ["f16"] as const } : {}),
      body: () => tileKernelBody(shape, options),
    }),
  };
}
