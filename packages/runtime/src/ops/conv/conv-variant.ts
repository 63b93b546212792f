/** The kernels that `conv3d` can run, as plain data. */
import { variantKey } from "../linear/linear-variant.js";
import { type MatrixProduct, type MatrixTile, productOf } from "../matrix/matrix-tile.wgsl.js";

/**
 * Workgroup tiles: `tileM` positions by `tileN` channels by threads that own `threadM x threadN` each, `stepK` input
 * channels at a time. Sizes are multiples of 4; a tile side times stepK takes at most 16 values per thread.
 */
export interface ConvTile {
  readonly kind: "tile";
  readonly tileM: number;
  readonly tileN: number;
  readonly threadM: number;
  readonly threadN: number;
  readonly stepK: number;
  /** Both operands are staged as f16, which halves their way through workgroup memory. Needs `shader-f16`. */
  readonly half?: boolean;
}

/** One subgroup of `size` lanes computes `size * blocksM` positions by `size * blocksN` channels. Needs `subgroups`. */
export interface ConvSubgroup {
  readonly kind: "lanes";
  readonly size: number;
  readonly blocksM: number;
  readonly blocksN: number;
}

/** Outputs of a workgroup: `outputTile` of `linear`. */
export type ConvVariant = ({ readonly kind: "matrix" } & MatrixTile) | ConvTile | ConvSubgroup;

/** Text that two different variants never share. */
export function convVariantKey(v: ConvVariant): string {
  return `${variantKey(v)}${v.kind === "tile" && v.half ? " half" : ""}`;
}

/** Whether operands are rounded to f16 before they are multiplied. */
export function roundsOperands(v: ConvVariant): boolean {
  return v.kind === "matrix" ? productOf(v).component === "f16" : v.kind === "tile" && v.half === true;
}

const tile = (tileM: number, tileN: number, threadM: number, threadN: number, stepK: number): ConvTile => ({
  kind: "tile",
  tileM,
  tileN,
  threadM,
  threadN,
  stepK,
});

/**
 * Tiles by output channels, all within 10 KiB of workgroup memory and 192 threads. Measured on an H100 with
 * convolutions of the Wan decoder: 27 TFLOP/s (96 channels) and 29 to 31 TFLOP/s (192, 384) in f32; larger tiles were
 * slower, also by leaving parts of the GPU idle on small frames.
 */
export const CONV_TILES = {
  /** RGB outputs. */
  upTo8: tile(128, 8, 4, 4, 8),
  upTo32: tile(128, 32, 8, 4, 16),
  /** 96 channels fill it; 64-wide tiles would compute a third for nothing. */
  multipleOf96: tile(64, 96, 4, 8, 16),
  any: tile(64, 64, 8, 4, 16),
} as const;

/**
 * Subgroup matrices, by output channels: tiles that compute few channels for nothing. Measured on an H200 with single frames
 * of the Wan decoder, indices unchecked: 109 TFLOP/s with 384 channels at 60 x 104 positions and 163 at 120 x 208 (with tiles
 * of 256 x 128 77 and 118, of 128 x 128 71 and 129), 175 with 192 at 240 x 416, 142 with 96 at 480 x 832.
 */
export const CONV_MATRIX_TILES = {
  multipleOf192: { kind: "matrix", tileM: 128, tileN: 192, subgroupsM: 2, subgroupsN: 4 },
  multipleOf128: { kind: "matrix", tileM: 256, tileN: 128, subgroupsM: 4, subgroupsN: 2 },
  multipleOf96: { kind: "matrix", tileM: 256, tileN: 96, subgroupsM: 4, subgroupsN: 2 },
  multipleOf64: { kind: "matrix", tileM: 128, tileN: 64, subgroupsM: 4, subgroupsN: 1 },
  upTo32: { kind: "matrix", tileM: 128, tileN: 32, subgroupsM: 4, subgroupsN: 1 },
  /** RGB outputs: 13 of 16 channels are for nothing, which still takes less time than f32 sums without matrices. */
  upTo16: { kind: "matrix", tileM: 128, tileN: 16, subgroupsM: 4, subgroupsN: 1 },
} as const;

type ConvMatrix = { readonly kind: "matrix" } & MatrixTile;

/**
 * Tiles of a product of subgroups: the narrowest that holds the channels, else the one of `many` that computes the fewest for
 * nothing. Only those of 16x16x16 were measured; others have blocks of 32 x 32 sums per subgroup, 64 values of a lane at most.
 */
export function convMatrixTiles(product: MatrixProduct): {
  readonly narrow: readonly ConvMatrix[];
  readonly many: readonly ConvMatrix[];
} {
  const { multipleOf192, multipleOf128, multipleOf96, multipleOf64, upTo32, upTo16 } = CONV_MATRIX_TILES;
  if (product.m === 16) {
    // Subgroups of 32 are what tiles have without a word.
    const of = (tile: ConvMatrix): ConvMatrix =>
      product.lanes === 32 && !product.asksForLanes ? tile : { ...tile, product };
    return {
      narrow: [upTo16, upTo32].map(of),
      many: [multipleOf192, multipleOf128, multipleOf96, multipleOf64].map(of),
    };
  }
  const step = product.component === "f32" ? { step: 16 } : {};
  const matrix = (tileM: number, tileN: number, subgroupsM: number, subgroupsN: number): ConvMatrix => ({
    kind: "matrix",
    tileM,
    tileN,
    subgroupsM,
    subgroupsN,
    ...step,
    product,
  });
  return {
    narrow: [matrix(128, product.n, 4, 1), matrix(128, 32, 4, 1)],
    many: [matrix(64, 96, 2, 3), matrix(64, 64, 2, 2)],
  };
}
