/** Which kernel a linear layer runs. Pure: no device inside. */
import type { DeviceCapabilities } from "../../device/device-info.js";
import { fixedSubgroupSize } from "../../device/device-info.js";
import { defineKernelFamily, type KernelRule } from "../../kernel/kernel-family.js";
import { coreOnly, f16Values, narrowSubgroupSize, narrowSubgroups } from "../../kernel/requirements.js";
import { chosenProduct, hasRoom, needsProduct } from "../matrix/matrix-rules.js";
import { MATRIX_LOAD, type MatrixProduct, matrixDepth, matrixNeeds } from "../matrix/matrix-tile.wgsl.js";
import { type LinearShaderShape, linearKernel } from "./linear.wgsl.js";
import {
  LARGE_TILE,
  type LinearVariant,
  linearMatrixTiles,
  SMALL_TILE,
  type TileShape,
} from "./linear-variant.js";

export interface LinearSize {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Values of x may be beyond what f16 holds (65,504). */
  readonly wideX?: boolean;
}

type Rule = KernelRule<LinearShaderShape, LinearSize, LinearVariant>;

/** Rows that one pass over the weight serves. Narrow subgroups do better with a tile from 5 rows up. */
const fewRows = (c: DeviceCapabilities) => (narrowSubgroupSize(c) === undefined ? 8 : 4);

const gemv: Rule = {
  id: "gemv",
  precision: "f32",
  ...coreOnly,
  fits: (_, { M }, c) => (M <= fewRows(c) ? undefined : `for up to ${fewRows(c)} rows`),
  variant: (_, { M }, c) => ({
    kind: "gemv",
    rows: M <= 1 ? 1 : M <= 2 ? 2 : M <= 4 ? 4 : 8,
    threads: narrowSubgroupSize(c) ?? 64,
  }),
};

const lanes: Rule = {
  id: "lanes",
  precision: "f32",
  ...narrowSubgroups,
  fits: () => undefined,
  variant: (_, { M }, c) => {
    const size = fixedSubgroupSize(c)!;
    // 16 x 16 outputs per subgroup: larger blocks spill registers, smaller ones spend their time on broadcasts.
    const blocks = (outputs: number) => Math.max(1, outputs / size);
    return { kind: "lanes", size, blocksM: blocks(M <= 8 ? 8 : 16), blocksN: blocks(16) };
  },
};

/** Subgroup matrices of a component: f16, to which operands are rounded, or f32. */
const matrix = (component: MatrixProduct["component"]): Rule => ({
  id: `matrix-${component}`,
  precision: component,
  requires: (c) =>
    needsProduct(c, component, (product) => matrixNeeds(linearMatrixTiles(product).many.at(-1)!)),
  fits: (_, { N, K, wideX }) => {
    if (wideX && component === "f16") return "x may be beyond the range of f16";
    if (K % MATRIX_LOAD !== 0) return `K is ${K}, no multiple of ${MATRIX_LOAD}`;
    return N >= 32 ? undefined : "for 32 columns or more";
  },
  variant: (_, { M, N, K }, c) => {
    const { few, many } = linearMatrixTiles(chosenProduct(c, component));
    const tile =
      few.find((t, i) => M <= (i === few.length - 1 ? 4 : 1) * t.tileM && hasRoom(c, matrixNeeds(t))) ??
      many.find(
        (t) =>
          hasRoom(c, matrixNeeds(t)) && Math.ceil(M / t.tileM) * Math.ceil(N / t.tileN) >= ENOUGH_WORKGROUPS,
      ) ??
      many.at(-1)!;
    return { kind: "matrix", ...tile, ...(K % matrixDepth(tile) === 0 ? { whole: true } : {}) };
  },
});

/** Operands that are stored as f16 stay so in workgroup memory, which loses nothing. */
const tileF16: Rule = {
  id: "tile-f16",
  precision: "f32",
  ...f16Values,
  fits: ({ x, weight }) => (x === "f16" || weight === "f16" ? undefined : "neither operand is stored as f16"),
  variant: ({ x, weight }, size, { hardware }) => ({
    kind: "tile",
    ...tileFor(size),
    ...(hardware === "software" ? { rolled: true } : {}),
    ...(x === "f16" ? { halfX: true } : {}),
    ...(weight === "f16" ? { halfW: true } : {}),
  }),
};

/** Needs nothing but core WebGPU: the reference for every other kernel. */
const tile: Rule = {
  id: "tile",
  precision: "f32",
  ...coreOnly,
  fits: () => undefined,
  variant: (_, size, { hardware }) => ({
    kind: "tile",
    ...tileFor(size),
    ...(hardware === "software" ? { rolled: true } : {}),
  }),
};

/** Fewer large tiles than this leave parts of a large GPU idle. */
const ENOUGH_WORKGROUPS = 96;

function tileFor({ M, N }: LinearSize): TileShape {
  const tiles = Math.ceil(M / LARGE_TILE.tileM) * Math.ceil(N / LARGE_TILE.tileN);
  return tiles >= ENOUGH_WORKGROUPS ? LARGE_TILE : SMALL_TILE;
}

const layer = { alignedK: true, alignedN: true, bias: "f32" } as const;

export const linearFamily = defineKernelFamily({
  name: "linear",
  rules: [gemv, matrix("f16"), matrix("f32"), lanes, tileF16, tile],
  kernel: linearKernel,
  typical: [
    {
      name: "many rows, f16",
      shape: { x: "f16", weight: "f16", out: "f16", ...layer, residual: "in_place", gate: "f32" },
      size: { M: 32_760, N: 1536, K: 1536 },
    },
    {
      name: "many rows, f32 by bf16",
      shape: { x: "f32", weight: "bf16", out: "f32", ...layer, activation: "gelu_tanh" },
      size: { M: 32_760, N: 8960, K: 1536 },
    },
    {
      name: "512 rows, f32",
      shape: { x: "f32", weight: "f32", out: "f32", alignedK: false, alignedN: false, multiply: "f32" },
      size: { M: 512, N: 1023, K: 4095 },
    },
    {
      name: "1 row",
      shape: { x: "f32", weight: "f16", out: "f32", ...layer, activation: "silu" },
      size: { M: 1, N: 1536, K: 256 },
    },
  ],
});
