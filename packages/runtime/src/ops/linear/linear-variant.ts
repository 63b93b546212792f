/** The kernels that `linear` can run, as plain data. */
import { type MatrixProduct, type MatrixTile, matrixTileKey } from "../matrix/matrix-tile.wgsl.js";

/**
 * Workgroup tiles: `tileM x tileN` outputs by threads that own `threadM x threadN` each, `stepK` deep. All are
 * multiples of 4, and the threads share the `(tileM + tileN) stepK / 16` blocks of a step evenly.
 */
export interface TileShape {
  readonly tileM: number;
  readonly tileN: number;
  readonly threadM: number;
  readonly threadN: number;
  readonly stepK: number;
  /** x (the weight) is staged as f16: only where it is stored as f16. Needs `shader-f16`. */
  readonly halfX?: boolean;
  readonly halfW?: boolean;
  /** Keep the inner loop a loop: quick to compile, slow on a GPU. */
  readonly rolled?: boolean;
}

/** One subgroup of `size` lanes computes `size * blocksM` rows by `size * blocksN` columns. Needs `subgroups`. */
export interface SubgroupShape {
  readonly size: number;
  readonly blocksM: number;
  readonly blocksN: number;
}

/** At most `rows` rows of x; a workgroup of `threads` (a power of two) per four columns. */
export interface GemvShape {
  readonly rows: number;
  readonly threads: number;
}

export type LinearVariant =
  | ({
      readonly kind: "matrix";
      /** K is a multiple of the step. */
      readonly whole?: boolean;
    } & MatrixTile)
  | ({ readonly kind: "tile" } & TileShape)
  | ({ readonly kind: "lanes" } & SubgroupShape)
  | ({ readonly kind: "gemv" } & GemvShape);

export interface LinearSize {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/**
 * Subgroup matrices, largest first: the first that makes enough workgroups to fill a GPU. On an H200 with f16 operands and
 * unchecked indices 227 to 273 and 222 to 282 TFLOP/s where there are many.
 */
export const MATRIX_TILES: readonly MatrixTile[] = [
  { tileM: 128, tileN: 256, subgroupsM: 2, subgroupsN: 4 },
  { tileM: 128, tileN: 128, subgroupsM: 2, subgroupsN: 2, step: 64 },
  { tileM: 64, tileN: 64, subgroupsM: 2, subgroupsN: 2 },
];

/**
 * Subgroup matrices for up to 16 and 128 rows, such as short prompts: reading the weight is the work, and it takes many workgroups.
 * Tiles of 32 rows take 0.53 to 0.94 times as long as those of 64 on an H200, at 33 to 128 rows; more were not compared.
 */
export const FEW_ROWS_MATRIX_TILES: readonly MatrixTile[] = [
  { tileM: 16, tileN: 64, subgroupsM: 1, subgroupsN: 4, step: 64 },
  { tileM: 32, tileN: 64, subgroupsM: 1, subgroupsN: 4, step: 64 },
];

/**
 * Tiles of a product of subgroups, for few rows (the first that holds them, up to four of the last) and for many (the first that makes enough
 * workgroups). Only those of 16x16x16 were measured; others have blocks of 32 x 32 sums per subgroup, 64 values of a lane at most.
 */
export function linearMatrixTiles(product: MatrixProduct): {
  readonly few: readonly MatrixTile[];
  readonly many: readonly MatrixTile[];
} {
  if (product.m === 16) {
    // Subgroups of 32 are what tiles have without a word.
    const of = (tile: MatrixTile): MatrixTile =>
      product.lanes === 32 && !product.asksForLanes ? tile : { ...tile, product };
    return { few: FEW_ROWS_MATRIX_TILES.map(of), many: MATRIX_TILES.map(of) };
  }
  const isHalf = product.component === "f16";
  const few = { tileN: 64, subgroupsM: 1, subgroupsN: 4, step: isHalf ? 64 : 32, product };
  const many = { step: isHalf ? 32 : 16, product };
  return {
    few: [
      { tileM: 8, ...few },
      { tileM: 16, ...few },
      { tileM: 32, ...few },
    ],
    many: [
      ...(isHalf ? [{ tileM: 128, tileN: 128, subgroupsM: 4, subgroupsN: 4, ...many }] : []),
      { tileM: 64, tileN: 64, subgroupsM: 2, subgroupsN: 2, ...many },
    ],
  };
}

/** For GPUs: the fastest of 15 tiles on an H100 from 512 rows up, with 64 threads and 8 KiB of workgroup memory. */
export const LARGE_TILE: TileShape = { tileM: 64, tileN: 64, threadM: 8, threadN: 8, stepK: 16 };
/** Where large tiles would be too few to fill a GPU. */
export const SMALL_TILE: TileShape = { tileM: 32, tileN: 32, threadM: 4, threadN: 4, stepK: 16 };

/** Rows and columns of the output that one workgroup computes. */
export function outputTile(v: LinearVariant): { readonly rows: number; readonly columns: number } {
  switch (v.kind) {
    case "matrix":
    case "tile":
      return { rows: v.tileM, columns: v.tileN };
    case "lanes":
      return { rows: v.size * v.blocksM, columns: v.size * v.blocksN };
    case "gemv":
      return { rows: v.rows, columns: 4 };
    default:
      return v satisfies never;
  }
}

/** Text that two different variants never share. */
export function variantKey(v: LinearVariant): string {
  switch (v.kind) {
    case "matrix":
      return `matrix ${matrixTileKey(v)}${v.whole ? " whole" : ""}`;
    case "tile":
      return `tile ${v.tileM}x${v.tileN} ${v.threadM}x${v.threadN} k${v.stepK}${v.halfX ? " hx" : ""}${v.halfW ? " hw" : ""}${v.rolled ? " rolled" : ""}`;
    case "lanes":
      return `lanes ${v.size} ${v.blocksM}x${v.blocksN}`;
    case "gemv":
      return `gemv ${v.rows} ${v.threads}`;
    default:
      return v satisfies never;
  }
}
