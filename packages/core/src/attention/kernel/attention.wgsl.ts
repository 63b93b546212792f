/** The attention kernels, and which one a device runs. Pure: the same input, the same text. */
import {
  coreOnly,
  defineKernel,
  defineKernelFamily,
  f16Values,
  fixedSubgroupSize,
  type Kernel,
  type KernelRule,
  MATRIX_EXTENSIONS,
  narrowSubgroups,
  needsMatrices,
} from "@lvsa/runtime";
import {
  ATTENTION_PARAMS,
  type AttentionShape,
  attentionBindings,
  shapeKey,
} from "./attention-common.wgsl.js";
import {
  type MatrixAttention,
  matrixAttentionBytes,
  matrixAttentionKey,
  matrixKernelBody,
  matrixQueries,
} from "./attention-matrix.wgsl.js";
import { subgroupKernelBody, subgroupQueries } from "./attention-subgroup.wgsl.js";
import { TILE_QUERIES, tileKernelBody } from "./attention-tile.wgsl.js";

export interface AttentionSize {
  readonly queries: number;
  /** Keys that a query may see, context included. */
  readonly keys: number;
}

export type AttentionVariant =
  | ({ readonly kind: "matrix" } & MatrixAttention)
  | { readonly kind: "lanes"; readonly subgroupSize: number }
  | { readonly kind: "tile"; readonly halfStage: boolean; readonly hideLoops: boolean };

type Rule = KernelRule<AttentionShape, AttentionSize, AttentionVariant>;

const lanes: Rule = {
  id: "lanes",
  precision: "f32",
  ...narrowSubgroups,
  fits: () => undefined,
  variant: (_shape, _size, c) => ({ kind: "lanes", subgroupSize: fixedSubgroupSize(c)! }),
};

/**
 * Measured on an H200 (32,760 tokens, 12 heads of 128, indices unchecked): 207 TFLOP/s; four subgroups, split 128 and not
 * split 127. With keys and values in one place, and thus five barriers, 159 and 173 split, 139 not split with 64 keys. Six
 * subgroups, whose 96 queries leave less of a frame's last tile empty, 155; leaving out the products of subgroups that have no
 * query there makes frames of 1,560 queries 3 to 7 % slower.
 */
const SPLIT_HEADS: MatrixAttention = { subgroups: 8, keys: 32, split: 2 };
/** For widths that do not split into two halves of whole matrices. */
const WHOLE_HEADS: MatrixAttention = { subgroups: 4, keys: 32 };

const matrix: Rule = {
  id: "matrix-f16",
  precision: "f16",
  requires: (c) => needsMatrices(c, matrixAttentionBytes(128, WHOLE_HEADS)),
  fits: ({ headDim, causal, relativeBias }, { queries }) => {
    if (headDim % 16 !== 0 || headDim < 32 || headDim > 128) {
      return `for heads of 32 to 128 channels in steps of 16, these have ${headDim}`;
    }
    if (causal || relativeBias) return "for scores without causal mask and bias";
    return queries >= 32 ? undefined : "for 32 queries or more";
  },
  variant: ({ headDim }, _size, { limits }) => {
    const fits = matrixAttentionBytes(headDim, SPLIT_HEADS) <= limits.maxComputeWorkgroupStorageSize;
    return { kind: "matrix", ...(headDim % 32 === 0 && fits ? SPLIT_HEADS : WHOLE_HEADS) };
  },
};

/** Queries, keys and values that are stored as f16 stay so in workgroup memory, which loses nothing. */
const tileF16: Rule = {
  id: "tile-f16",
  precision: "f32",
  ...f16Values,
  fits: ({ query, key, value, context }) =>
    [query, key, value, context?.key, context?.value].every((dtype) => dtype === undefined || dtype === "f16")
      ? undefined
      : "not everything is stored as f16",
  variant: (_shape, _size, { hardware }) => ({
    kind: "tile",
    halfStage: true,
    hideLoops: hardware === "software",
  }),
};

/** Needs nothing but core WebGPU: the reference for every other kernel. */
const tile: Rule = {
  id: "tile",
  precision: "f32",
  ...coreOnly,
  fits: () => undefined,
  variant: (_shape, _size, { hardware }) => ({
    kind: "tile",
    halfStage: false,
    hideLoops: hardware === "software",
  }),
};

/** Queries per workgroup. */
export function attentionTile({ headDim }: AttentionShape, v: AttentionVariant): number {
  switch (v.kind) {
    case "matrix":
      return matrixQueries(v);
    case "lanes":
      return subgroupQueries(v.subgroupSize, headDim);
    case "tile":
      return TILE_QUERIES;
    default:
      return v satisfies never;
  }
}

function attentionKernel(shape: AttentionShape, v: AttentionVariant): Kernel<typeof ATTENTION_PARAMS> {
  const common = {
    name: "attention",
    bindings: attentionBindings(shape, v.kind === "matrix"),
    params: ATTENTION_PARAMS,
    // Ranges of the index buffer were held against keys and queries when the layout was made and used.
    inBounds: true,
  } as const;
  switch (v.kind) {
    case "matrix":
      return defineKernel({
        ...common,
        key: `${matrixAttentionKey(v)}-${shapeKey(shape)}`,
        enables: MATRIX_EXTENSIONS,
        body: () => matrixKernelBody(shape, v),
      });
    case "lanes":
      return defineKernel({
        ...common,
        key: `lanes-${v.subgroupSize}-${shapeKey(shape)}`,
        enables: ["subgroups"],
        body: () => subgroupKernelBody(shape, v),
      });
    case "tile":
      return defineKernel({
        ...common,
        key: `tile-${v.halfStage ? "half-" : ""}${v.hideLoops ? "hidden-" : ""}${shapeKey(shape)}`,
        ...(v.halfStage ? { enables: ["f16"] as const } : {}),
        body: () => tileKernelBody(shape, v),
      });
    default:
      return v satisfies never;
  }
}

const dense = {
  context: undefined,
  rows: false,
  causal: false,
  relativeBias: false,
  logSumExp: false,
} as const;
const f16 = { query: "f16", key: "f16", value: "f16", output: "f16" } as const;
const f32 = { query: "f32", key: "f32", value: "f32", output: "f32" } as const;

export const attentionFamily = defineKernelFamily({
  name: "attention",
  rules: [matrix, lanes, tileF16, tile],
  kernel: attentionKernel,
  typical: [
    {
      name: "dense, heads of 128, f16",
      shape: { headDim: 128, ...f16, ...dense },
      size: { queries: 32_760, keys: 32_760 },
    },
    {
      name: "frames and text, heads of 64, f16",
      shape: { headDim: 64, ...f16, ...dense, rows: true, context: { key: "f16", value: "f16" } },
      size: { queries: 17_550, keys: 9000 },
    },
    {
      name: "frames, heads of 128, f32",
      shape: { headDim: 128, ...f32, ...dense, rows: true },
      size: { queries: 32_760, keys: 9000 },
    },
    {
      name: "text encoder, heads of 64, f32",
      shape: { headDim: 64, ...f32, ...dense, rows: true, relativeBias: true, causal: true, logSumExp: true },
      size: { queries: 512, keys: 512 },
    },
  ],
});
