/** Splitting the rows of big tensors so that each piece fits a storage binding. */
import type { Device } from "../device/device.js";
import { assertShape } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";

export interface RowChunk {
  readonly start: number;
  readonly end: number;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** Rows per step such that a piece of every tensor starts at an offset that the device can bind. */
function alignedRows(device: Device, rowBytes: readonly number[]): number {
  const alignment = Math.max(16, device.info.limits.minStorageBufferOffsetAlignment);
  return rowBytes.reduce((rows, bytes) => {
    const step = alignment / gcd(alignment, bytes);
    return (rows / gcd(rows, step)) * step;
  }, 1);
}

/**
 * Pieces of `0..rows` within which every tensor (given by its bytes per row) fits one binding. One piece when
 * everything fits as it is.
 */
export function rowChunks(device: Device, rows: number, rowBytes: readonly number[]): RowChunk[] {
  const limit = device.info.limits.maxStorageBufferBindingSize;
  const widest = Math.max(1, ...rowBytes);
  if (rows * widest <= limit) return [{ start: 0, end: rows }];
  const step = alignedRows(device, rowBytes);
  const perChunk = Math.floor(limit / widest / step) * step;
  assertShape(
    perChunk > 0,
    `one row takes ${widest} bytes in steps of ${step} rows, the device binds at most ${limit} bytes`,
    "Use a smaller size, or a device with larger bindings.",
  );
  const chunks: RowChunk[] = [];
  for (let start = 0; start < rows; start += perChunk) {
    chunks.push({ start, end: Math.min(start + perChunk, rows) });
  }
  return chunks;
}

/** Views of the same rows of several tensors, freed when `body` returns. Tensors are taken as `[rows, ...]`. */
export function withRows(
  tensors: readonly Tensor[],
  rows: number,
  chunk: RowChunk,
  body: (views: readonly Tensor[]) => void,
): void {
  if (chunk.start === 0 && chunk.end === rows) {
    body(tensors);
    return;
  }
  const views = tensors.map((tensor) => {
    const flat = tensor.reshape([rows, tensor.size / rows]);
    const view = flat.rows(chunk.start, chunk.end);
    flat.dispose();
    return view;
  });
  body(views);
  for (const view of views) view.dispose();
}
