/**
 * Stored bytes of tensors as they come and go: writes and copies. Buffers take whole 32-bit
 * words alone; here the bytes around a tensor that ends within one stay as they are.
 */
import { ShapeError } from "../errors.js";
import type { CommandRecorder } from "../kernel/command-recorder.js";
import type { ParamTypes } from "../kernel/kernel.js";
import { mergeWordKernel } from "../kernel/merge-word.js";
import type { DType } from "../tensor/dtype.js";
import type { Shape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { unalignedView } from "./device-errors.js";
import type { Dispatch, EmptyOptions } from "./device-options.js";
import type { QueueOrder } from "./queue-order.js";

/** Bytes that may wait in the driver's staging memory before a writer waits for the GPU to take them. */
const STAGED_BYTES = 128 * 1024 * 1024;

/** The device, as far as it is used here. */
export interface BytesHost {
  readonly gpu: Pick<GPUDevice, "queue">;
  empty(shape: Shape, dtype: DType, options: EmptyOptions): Tensor;
  dispatch<P extends ParamTypes>(dispatch: Dispatch<P>): void;
  submit(): void;
}

export class TensorBytes {
  readonly #host: BytesHost;
  readonly #recorder: CommandRecorder;
  readonly #order: QueueOrder;
  #stagedBytes = 0;

  constructor(host: BytesHost, recorder: CommandRecorder, order: QueueOrder) {
    this.#host = host;
    this.#recorder = recorder;
    this.#order = order;
  }

  /** Whether much was written since the GPU was last heard to have taken all. */
  get isStagingFull(): boolean {
    return this.#stagedBytes >= STAGED_BYTES;
  }

  /** Hears that the GPU has taken what was written. */
  taken(): void {
    this.#stagedBytes = 0;
  }

  /** See `Device.writeBytes`. */
  write(tensor: Tensor, bytes: Uint8Array, byteOffset: number): void {
    const target = tensor.byteOffset + byteOffset;
    if (byteOffset + bytes.byteLength > tensor.byteLength) {
      throw new ShapeError(
        "SHAPE_MISMATCH",
        `${bytes.byteLength} bytes from byte ${byteOffset} do not fit a tensor of ${tensor.byteLength} bytes`,
      );
    }
    if (target % 4 !== 0) throw unalignedView(`write to byte ${target}`);
    this.#host.submit();
    this.#stagedBytes += bytes.byteLength;
    const whole = bytes.byteLength - (bytes.byteLength % 4);
    if (whole > 0) this.#writeWords(tensor.buffer, target, bytes.subarray(0, whole));
    if (whole < bytes.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      const isLast = byteOffset + bytes.byteLength === tensor.byteLength;
      if (isLast && tensor.endsStorage) this.#writeWords(tensor.buffer, target + whole, tail);
      else {
        const word = this.#word();
        this.#writeWords(word.buffer, 0, tail);
        this.#mergeWord(word, tensor.buffer, target + whole, bytes.byteLength - whole);
      }
    }
  }

  /** See `Device.copyBytes`. */
  copy(from: Tensor, to: Tensor): void {
    if (from.byteLength !== to.byteLength) {
      throw new ShapeError("SHAPE_MISMATCH", `cannot copy ${from.byteLength} bytes over ${to.byteLength}`);
    }
    const rest = to.endsStorage ? 0 : from.byteLength % 4;
    this.copyWords(from, to, from.byteLength - rest);
    if (rest === 0) return;
    const at = from.byteLength - rest;
    const word = this.#word();
    this.#recorder.copy(from.buffer, from.byteOffset + at, word.buffer, 0, 4);
    this.#mergeWord(word, to.buffer, to.byteOffset + at, rest);
  }

  /** Copies up to `bytes`, and up to three more so that words are whole. */
  copyWords(from: Tensor, to: Tensor, bytes = from.byteLength): void {
    if (from.byteOffset % 4 !== 0 || to.byteOffset % 4 !== 0) {
      throw unalignedView(`copy from byte ${from.byteOffset} to byte ${to.byteOffset}`);
    }
    const size = Math.ceil(bytes / 4) * 4;
    if (size > 0) this.#recorder.copy(from.buffer, from.byteOffset, to.buffer, to.byteOffset, size);
  }

  #word(): Tensor {
    return this.#host.empty([1], "u32", { label: "word" });
  }

  #writeWords(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
    // The caller may change its bytes before a write that waits.
    const kept = (this.#order.isHeld ? bytes.slice() : bytes) as Uint8Array<ArrayBuffer>;
    this.#order.run(() => this.#host.gpu.queue.writeBuffer(buffer, offset, kept));
  }

  /** The first `bytes` of `word` over those at `offset` of a buffer; disposes `word`. */
  #mergeWord(word: Tensor, buffer: GPUBuffer, offset: number, bytes: number): void {
    const result = this.#word();
    this.#recorder.copy(buffer, offset, result.buffer, 0, 4);
    const params = { mask: 2 ** (8 * bytes) - 1 };
    this.#host.dispatch({ kernel: mergeWordKernel, tensors: [word, result], params, workgroups: 1 });
    this.#recorder.copy(result.buffer, 0, buffer, offset, 4);
    for (const tensor of [word, result]) tensor.dispose();
  }
}
