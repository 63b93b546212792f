/**
 * A tensor is a typed view of a piece of a GPU buffer: `{ buffer, byteOffset, shape, dtype }`, row-major and
 * contiguous. It never reads or writes by itself; ops record work that does.
 *
 * Ownership: tensors made by a `Device` share a reference-counted storage that goes back to the device's pool
 * when the last tensor on it is disposed. Borrowed tensors (`borrowTensor`) own nothing.
 */
import { assertShape } from "../errors.js";
import { bytesPerElement, type DType } from "./dtype.js";
import { checkShape, elementCount, formatShape, type Shape } from "./shape.js";

/** What a tensor's bytes belong to. Reference counted by the tensors on it. */
export interface Storage {
  readonly buffer: GPUBuffer;
  /** Bytes that were asked for; up to the next multiple of 16 nothing else lies behind them. */
  readonly byteLength: number;
  retain(): void;
  release(): void;
  /** Hears of every tensor made on this storage, views included, so that scopes can free them. */
  track?(tensor: Tensor): void;
}

export class Tensor {
  readonly buffer: GPUBuffer;
  readonly byteOffset: number;
  readonly shape: Shape;
  readonly dtype: DType;
  #storage: Storage | undefined;
  #disposed = false;

  /** Use `device.empty`, `device.upload` or `borrowTensor`. */
  constructor(buffer: GPUBuffer, byteOffset: number, shape: Shape, dtype: DType, storage?: Storage) {
    checkShape(shape);
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.shape = shape;
    this.dtype = dtype;
    this.#storage = storage;
    storage?.retain();
    storage?.track?.(this);
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  get byteLength(): number {
    return this.size * bytesPerElement(this.dtype);
  }

  /** Behind the last byte nothing lies that a write of whole words could destroy. */
  get endsStorage(): boolean {
    return this.byteOffset + this.byteLength === this.#storage?.byteLength;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Size of dimension `axis`; negative counts from the end. */
  dim(axis: number): number {
    const n = this.shape[axis < 0 ? this.shape.length + axis : axis];
    assertShape(n !== undefined, `tensor ${formatShape(this.shape)} has no axis ${axis}`);
    return n;
  }

  /** The same elements under another shape. Shares storage. */
  reshape(shape: Shape): Tensor {
    assertShape(
      elementCount(shape) === this.size,
      `cannot view ${formatShape(this.shape)} (${this.size} elements) as ${formatShape(shape)}`,
    );
    return this.#view(this.byteOffset, shape);
  }

  /** Entries `start` to `end` (exclusive) of the first dimension. Shares storage. */
  rows(start: number, end: number): Tensor {
    const [first, ...rest] = this.shape;
    assertShape(
      first !== undefined && start >= 0 && end >= start && end <= first,
      `rows ${start}..${end} are outside of ${formatShape(this.shape)}`,
    );
    const rowBytes = elementCount(rest) * bytesPerElement(this.dtype);
    return this.#view(this.byteOffset + start * rowBytes, [end - start, ...rest]);
  }

  /** Gives the storage back (when no other view holds it). Safe to call while recorded work still uses it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#storage?.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #view(byteOffset: number, shape: Shape): Tensor {
    assertShape(!this.#disposed, `tensor ${formatShape(this.shape)} was disposed and can not be viewed`);
    return new Tensor(this.buffer, byteOffset, shape, this.dtype, this.#storage);
  }
}

/** A tensor over a foreign `GPUBuffer`. The caller keeps ownership; `dispose` does nothing to the buffer. */
export function borrowTensor(buffer: GPUBuffer, shape: Shape, dtype: DType, byteOffset = 0): Tensor {
  const needed = byteOffset + elementCount(shape) * bytesPerElement(dtype);
  assertShape(
    needed <= buffer.size,
    `a ${dtype} tensor ${formatShape(shape)} at byte ${byteOffset} needs ${needed} bytes, the buffer has ${buffer.size}`,
  );
  return new Tensor(buffer, byteOffset, shape, dtype);
}
