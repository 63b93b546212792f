/** Chooses and writes the attention kernel for a shape and a device tier. Pure: the same input, the same text. */
import type { DeviceInfo, KernelTier } from "../../device/device-info.js";
import { defineKernel, type Kernel } from "../../kernel/kernel.js";
import {
  ATTENTION_PARAMS,
  type AttentionShape,
  attentionBindings,
  shapeKey,
} from "./attention-common.wgsl.js";
import { type TileOptions, tileKernelBody, tileQueries } from "./attention-tile.wgsl.js";

export interface AttentionKernel {
  readonly kernel: Kernel<typeof ATTENTION_PARAMS>;
  /** Queries per workgroup. */
  readonly tile: number;
}

export function attentionKernel(
  shape: AttentionShape,
  _tier: KernelTier,
  _info: Pick<DeviceInfo, "subgroupSize" | "limits">,
): AttentionKernel {
  // 8 KB of weights and 8 KB of staging: the 16 KB that every device has.
  const options: TileOptions = { threadsY: 16, stage: 512, halfStage: false };
  return {
    tile: tileQueries(options),
    kernel: defineKernel({
      name: "attention",
      key: `tile-${options.threadsY}-${options.stage}-${options.halfStage}-${shapeKey(shape)}`,
      bindings: attentionBindings(shape),
      params: ATTENTION_PARAMS,
      ...(options.halfStage ? { enables: ["f16"] as const } : {}),
      body: () => tileKernelBody(shape, options),
    }),
  };
}
