/** Chooses and writes the attention kernel for a shape and a device tier. Pure: the same input, the same text. */
import { type DeviceInfo, defineKernel, type Kernel, type KernelTier } from "@lvsa/runtime";
import {
  ATTENTION_PARAMS,
  type AttentionShape,
  attentionBindings,
  shapeKey,
} from "./attention-common.wgsl.js";
import { subgroupKernelBody, subgroupQueries } from "./attention-subgroup.wgsl.js";
import { TILE_QUERIES, tileKernelBody } from "./attention-tile.wgsl.js";

export interface AttentionKernel {
  readonly kernel: Kernel<typeof ATTENTION_PARAMS>;
  /** Queries per workgroup. */
  readonly tile: number;
}

export function attentionKernel(
  shape: AttentionShape,
  tier: KernelTier,
  info: Pick<DeviceInfo, "subgroupSize" | "isSoftware">,
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
  const stored = [shape.query, shape.key, shape.value, shape.context?.key, shape.context?.value];
  const options = {
    halfStage: tier === "f16" && stored.every((dtype) => dtype === undefined || dtype === "f16"),
    hideLoops: info.isSoftware,
  };
  return {
    tile: TILE_QUERIES,
    kernel: defineKernel({
      ...common,
      key: `tile-${options.halfStage ? "half-" : ""}${options.hideLoops ? "hidden-" : ""}${shapeKey(shape)}`,
      ...(options.halfStage ? { enables: ["f16"] as const } : {}),
      body: () => tileKernelBody(shape, options),
    }),
  };
}
