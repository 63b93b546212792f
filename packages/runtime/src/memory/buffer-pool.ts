/**
 * GPU buffers by size class. Freed buffers are handed out again at once: WebGPU runs commands in queue order,
 * so work recorded later can not overtake work that still reads the old contents.
 */
import type { Storage, Tensor } from "../tensor/tensor.js";

/** Bytes of GPU memory held by a device. `liveBytes` includes `pinnedBytes`; `pooledBytes` is free but kept. */
export interface MemoryReport {
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly pinnedBytes: number;
  readonly pooledBytes: number;
  readonly liveTensors: number;
}

const USAGE = 0x0080 | 0x0004 | 0x0008; // STORAGE | COPY_SRC | COPY_DST, spelled out: no GPU globals needed

/** Rounds up to one of eight classes per power of two, so that near sizes share buffers (at most 12.5 % lost). */
export function sizeClass(bytes: number): number {
  if (bytes <= 1024) return Math.max(256, Math.ceil(bytes / 256) * 256);
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2);
  const rounded = Math.ceil(bytes / step) * step;
  return Math.ceil(rounded / 256) * 256;
}

/** Free buffers kept beyond this many bytes (or beyond the live bytes, if more) are destroyed. */
const KEEP_BYTES = 256 * 1024 * 1024;

export class BufferPool {
  readonly #gpu: GPUDevice;
  readonly #free = new Map<number, GPUBuffer[]>();
  readonly #beforeDestroy: () => void;
  #live = 0;
  #peak = 0;
  #pinned = 0;
  #pooled = 0;
  #count = 0;
  #closed = false;

  /** `beforeDestroy` must submit recorded work: a buffer may not be destroyed while unsubmitted work names it. */
  constructor(gpu: GPUDevice, beforeDestroy: () => void) {
    this.#gpu = gpu;
    this.#beforeDestroy = beforeDestroy;
  }

  /**
   * A storage of at least `bytes`, with a reference count of 0. Pinned storages are never pooled. `track` hears
   * of every tensor made on it.
   */
  acquire(bytes: number, pinned: boolean, label: string, track?: (tensor: Tensor) => void): Storage {
    const size = pinned ? Math.ceil(Math.max(bytes, 16) / 16) * 16 : sizeClass(bytes);
    const reused = pinned ? undefined : this.#free.get(size)?.pop();
    if (reused) this.#pooled -= size;
    const buffer = reused ?? this.#gpu.createBuffer({ size, usage: USAGE, label });
    this.#live += size;
    this.#count += 1;
    if (pinned) this.#pinned += size;
    this.#peak = Math.max(this.#peak, this.#live);
    let references = 0;
    return {
      buffer,
      ...(track ? { track } : {}),
      retain: () => {
        references += 1;
      },
      release: () => {
        references -= 1;
        if (references > 0 || this.#closed) return;
        this.#live -= size;
        this.#count -= 1;
        if (pinned) {
          this.#pinned -= size;
          this.#beforeDestroy();
          buffer.destroy();
        } else {
          this.#giveBack(buffer, size);
        }
      },
    };
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#live,
      peakBytes: this.#peak,
      pinnedBytes: this.#pinned,
      pooledBytes: this.#pooled,
      liveTensors: this.#count,
    };
  }

  resetPeak(): void {
    this.#peak = this.#live;
  }

  /** Destroys all free buffers. */
  trim(): void {
    if (this.#pooled === 0) return;
    this.#beforeDestroy();
    for (const list of this.#free.values()) for (const buffer of list) buffer.destroy();
    this.#free.clear();
    this.#pooled = 0;
  }

  close(): void {
    this.#closed = true;
    this.#free.clear();
  }

  #giveBack(buffer: GPUBuffer, size: number): void {
    const list = this.#free.get(size);
    if (list) list.push(buffer);
    else this.#free.set(size, [buffer]);
    this.#pooled += size;
    if (this.#pooled > Math.max(KEEP_BYTES, this.#live)) this.trim();
  }
}
