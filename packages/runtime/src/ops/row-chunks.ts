/** Splitting the rows of big tensors so that each piece fits a storage binding. */
import type { Device } from "../device/device.js";
import { DeviceError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";

export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Cuts `count` rows into ranges whose bytes fit `limit` in every tensor of `rowBytes`. Ranges start where all
 * tensors are aligned for binding if that is possible, and always at a multiple of `multiple`.
 *
 * @param most rows that one range has at most, as far as `multiple` and the alignment allow
 */
export function splitRows(
  count: number,
  rowBytes: readonly number[],
  limit: number,
  alignment: number,
  multiple = 1,
  most = Number.POSITIVE_INFINITY,
): RowRange[] {
  const widest = Math.max(...rowBytes);
  if (count <= most && count * widest <= limit) return [{ start: 0, end: count }];
  const fits = Math.min(Math.floor(limit / widest), Math.max(multiple, most));
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
  const ranges: RowRange[] = [];
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

/** The same with the device's own limits; pieces start at multiples of 16 bytes at least. */
export function rowChunks(device: Device, rows: number, rowBytes: readonly number[]): RowRange[] {
  const { maxStorageBufferBindingSize, minStorageBufferOffsetAlignment } = device.info.limits;
  return splitRows(
    rows,
    rowBytes,
    maxStorageBufferBindingSize,
    Math.max(16, minStorageBufferOffsetAlignment),
    // Nothing can be bound or copied from the middle of a 32-bit word.
    rowBytes.reduce(
      (multiple, bytes) => leastCommonMultiple(multiple, 4 / greatestCommonDivisor(4, bytes)),
      1,
    ),
  );
}

/** Views of the same rows of several tensors, freed when `body` returns or throws. Tensors are taken as `[rows, ...]`. */
export function withRows(
  tensors: readonly Tensor[],
  rows: number,
  chunk: RowRange,
  body: (views: readonly Tensor[]) => void,
): void {
  if (chunk.start === 0 && chunk.end === rows) {
    body(tensors);
    return;
  }
  const views: Tensor[] = [];
  try {
    for (const tensor of tensors) {
      using flat = tensor.reshape([rows, tensor.size / rows]);
      views.push(flat.rows(chunk.start, chunk.end));
    }
    body(views);
  } finally {
    for (const view of views) view.dispose();
  }
}
