/** Which kernel a linear layer runs and how it is cut to fit the device's bindings. Pure: no device inside. */
import type { DeviceInfo, KernelTier } from "../../device/device-info.js";
import { DeviceError } from "../../errors.js";

/** Workgroup tiles: `tileM x tileN` outputs by threads that own `threadM x threadN` each, `stepK` deep. */
export interface TileShape {
  readonly tileM: number;
  readonly tileN: number;
  readonly threadM: number;
  readonly threadN: number;
  readonly stepK: number;
}

export type LinearVariant = { readonly kind: "tile" } & TileShape;

export interface LinearSize {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

const SMALL_TILE: TileShape = { tileM: 64, tileN: 64, threadM: 4, threadN: 4, stepK: 32 };

export function chooseLinear(_size: LinearSize, _tier: KernelTier, _info: DeviceInfo): LinearVariant {
  return { kind: "tile", ...SMALL_TILE };
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
