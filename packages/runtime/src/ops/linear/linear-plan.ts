/** Which kernel a linear layer runs and how it is cut to fit the device's bindings. Pure: no device inside. */
import type { DeviceInfo, KernelTier } from "../../device/device-info.js";
import { DeviceError } from "../../errors.js";
import type { FloatDType } from "../../tensor/dtype.js";

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
  | ({ readonly kind: "tile" } & TileShape)
  | ({ readonly kind: "subgroups" } & SubgroupShape)
  | ({ readonly kind: "gemv" } & GemvShape);

export interface LinearSize {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** For GPUs: the fastest of 15 tiles on an H100 from 512 rows up, with 64 threads and 8 KiB of workgroup memory. */
export const LARGE_TILE: TileShape = { tileM: 64, tileN: 64, threadM: 8, threadN: 8, stepK: 16 };
/** Where large tiles would be too few to fill a GPU. */
export const SMALL_TILE: TileShape = { tileM: 32, tileN: 32, threadM: 4, threadN: 4, stepK: 16 };

export interface LinearDtypes {
  readonly x: FloatDType;
  readonly weight: FloatDType;
}

export function chooseLinear(
  { M, N }: LinearSize,
  dtypes: LinearDtypes,
  tier: KernelTier,
  info: DeviceInfo,
): LinearVariant {
  const lanes = tier === "subgroups" ? info.subgroupSize : undefined;
  if (M <= (lanes === undefined ? 8 : 4)) {
    return { kind: "gemv", rows: M <= 1 ? 1 : M <= 2 ? 2 : M <= 4 ? 4 : 8, threads: lanes ?? 64 };
  }
  if (lanes !== undefined) {
    // 16 x 16 outputs per subgroup: larger blocks spill registers, smaller ones spend their time on broadcasts.
    const blocks = (outputs: number) => Math.max(1, outputs / lanes);
    return { kind: "subgroups", size: lanes, blocksM: blocks(M <= 8 ? 8 : 16), blocksN: blocks(16) };
  }
  const tiles = Math.ceil(M / LARGE_TILE.tileM) * Math.ceil(N / LARGE_TILE.tileN);
  const tile = tiles >= ENOUGH_WORKGROUPS ? LARGE_TILE : SMALL_TILE;
  const half = tier === "f16" && info.features.includes("shader-f16");
  return {
    kind: "tile",
    ...tile,
    ...(half && dtypes.x === "f16" ? { halfX: true } : {}),
    ...(half && dtypes.weight === "f16" ? { halfW: true } : {}),
    ...(info.isSoftware ? { rolled: true } : {}),
  };
}

/** Fewer large tiles than this leave parts of a large GPU idle. */
const ENOUGH_WORKGROUPS = 96;

/** Rows and columns of the output that one workgroup computes. */
export function outputTile(v: LinearVariant): { readonly rows: number; readonly columns: number } {
  switch (v.kind) {
    case "tile":
      return { rows: v.tileM, columns: v.tileN };
    case "subgroups":
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
    case "tile":
      return `tile ${v.tileM}x${v.tileN} ${v.threadM}x${v.threadN} k${v.stepK}${v.halfX ? " hx" : ""}${v.halfW ? " hw" : ""}${v.rolled ? " rolled" : ""}`;
    case "subgroups":
      return `subgroups ${v.size} ${v.blocksM}x${v.blocksN}`;
    case "gemv":
      return `gemv ${v.rows} ${v.threads}`;
    default:
      return v satisfies never;
  }
}

export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Cuts `count` rows into ranges whose bytes fit `limit` in every tensor of `rowBytes`. Ranges start where all
 * tensors are aligned for binding if that is possible, and always at a multiple of `multiple`.
 */
export function splitRows(
  count: number,
  rowBytes: readonly number[],
  limit: number,
  alignment: number,
  multiple = 1,
): Range[] {
  const widest = Math.max(...rowBytes);
  if (count * widest <= limit) return [{ start: 0, end: count }];
  const fits = Math.floor(limit / widest);
  let step = multiple;
  for (const bytes of rowBytes)
    step = leastCommonMultiple(step, alignment / greatestCommonDivisor(alignment, bytes));
  if (step > fits) step = multiple;
  const rows = Math.floor(fits / step) * step;
  if (rows === 0) {
    throw new DeviceError(
      "BINDING_TOO_LARGE",
      `${multiple} row(s) of ${widest} bytes do not fit a binding of ${limit} bytes`,
      { fix: "Use a device with larger bindings." },
    );
  }
  const ranges: Range[] = [];
  for (let start = 0; start < count; start += rows)
    ranges.push({ start, end: Math.min(start + rows, count) });
  return ranges;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function leastCommonMultiple(a: number, b: number): number {
  return (a / greatestCommonDivisor(a, b)) * b;
}
