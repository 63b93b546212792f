/** The attention kernels, and which one a device runs. Pure: the same input, the same text. */
import {
  chosenProduct,
  coreOnly,
  defineKernel,
  defineKernelFamily,
  f16Values,
  fixedSubgroupSize,
  hasRoom,
  type Kernel,
  type KernelRule,
  MATRIX_LOAD,
  type MatrixProduct,
  matrixExtensions,
  narrowSubgroups,
  needsProduct,
} from "@lvsa/runtime";
import {
  ATTENTION_PARAMS,
  type AttentionShape,
  attentionBindings,
  shapeKey,
} from "./attention-common.wgsl.js";
import {
  type MatrixAttention,
  matrixAttentionKey,
  matrixAttentionNeeds,
  matrixKernelBody,
  matrixQueries,
} from "./attention-matrix.wgsl.js";
import { subgroupKernelBody, subgroupQueries } from "./attention-subgroup.wgsl.js";
import { TILE_QUERIES, tileKernelBody } from "./attention-tile.wgsl.js";
import { matrixAttentions } from "./attention-variant.js";

export interface AttentionSize {
  readonly queries: number;
  /** Keys that a query may see, context included. */
  readonly keys: number;
}

export type AttentionVariant =
  | ({ readonly kind: "matrix" } & MatrixAttention)
  | { readonly kind: "lanes"; readonly subgroupSize: number }
  | { readonly kind: "tile"; readonly halfStage: boolean; readonly hideLoops: boolean };

/** Channels of the widest heads whose output subgroups keep in matrices. */
const WIDEST_HEAD = 128;

type Rule = KernelRule<AttentionShape, AttentionSize, AttentionVariant>;

const lanes: Rule = {
  id: "lanes",
  precision: "f32",
  ...narrowSubgroups,
  fits: () => undefined,
  variant: (_shape, _size, c) => ({ kind: "lanes", subgroupSize: fixedSubgroupSize(c)! }),
};

/** Subgroup matrices of a component: f16, to which operands are rounded, or f32. */
const matrix = (component: MatrixProduct["component"]): Rule => ({
  id: `matrix-${component}`,
  precision: component,
  requires: (c) =>
    needsProduct(c, component, (product) =>
      matrixAttentionNeeds(WIDEST_HEAD, matrixAttentions(product, WIDEST_HEAD).at(-1)!),
    ),
  fits: ({ headDim, causal, relativeBias }, { queries }, c) => {
    const { n, k } = chosenProduct(c, component);
    const step = Math.max(n, k, MATRIX_LOAD);
    if (headDim % step !== 0 || headDim < 32 || headDim > WIDEST_HEAD) {
      return `for heads of 32 to ${WIDEST_HEAD} channels in steps of ${step}, these have ${headDim}`;
    }
    if (causal || relativeBias) return "for scores without causal mask and bias";
    return queries >= 32 ? undefined : "for 32 queries or more";
  },
  variant: ({ headDim }, _size, c) => {
    const all = matrixAttentions(chosenProduct(c, component), headDim);
    return {
      kind: "matrix",
      ...(all.find((o) => hasRoom(c, matrixAttentionNeeds(headDim, o))) ?? all.at(-1)!),
    };
  },
});

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
        enables: matrixExtensions(v),
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
  rules: [matrix("f16"), matrix("f32"), lanes, tileF16, tile],
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
