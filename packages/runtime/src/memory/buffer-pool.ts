/**
 * GPU buffers of a device. Freed buffers are handed out again at once: WebGPU runs commands in queue order, so work
 * recorded later can not overtake work that still reads the old contents. Nothing is destroyed while work is in
 * flight: recording runs far ahead of the GPU, which gives memory back only when it has passed, so a buffer that is
 * destroyed and made anew in one pass counts twice.
 */
import { gpuBufferUsage } from "../device/gpu-usage.js";
import type { Storage, Tensor } from "../tensor/tensor.js";

/** Bytes of GPU memory held by a device, as it asked the driver for them. */
export interface MemoryReport {
  /** In use, weights included. */
  readonly liveBytes: number;
  /** Of these, weights and tables that are never pooled. */
  readonly pinnedBytes: number;
  /** Free, and kept for the next tensor that fits. */
  readonly pooledBytes: number;
  /** All that is allocated: live, pooled, and given up but not yet passed by the GPU. */
  readonly heldBytes: number;
  /** The most that was held at a time. */
  readonly peakBytes: number;
  readonly liveTensors: number;
  /** Buffers and bytes ever created, destroyed ones included. */
  readonly createdBuffers: number;
  readonly createdBytes: number;
}

export interface BufferPoolEvents {
  /** The driver had no memory for a buffer. Heard later, when the driver says so. */
  readonly outOfMemory: (bytes: number, message: string) => void;
}

const USAGE = gpuBufferUsage("STORAGE", "COPY_SRC", "COPY_DST");
/** A free buffer serves a tensor that is smaller by up to this part of the buffer. */
const LARGEST_WASTE = 1 / 8;
/** A free buffer that nothing took for this many syncs with the GPU is given back. */
const IDLE_SYNCS = 16;

interface Held {
  readonly buffer: GPUBuffer;
  readonly size: number;
  /** The driver had no memory for it; it can not be used. */
  failed: boolean;
  /** Sync after which it became free. */
  freedAt: number;
}

/** What a sync with the GPU makes it safe to destroy. */
export interface Retired {
  destroy(): void;
}

export class BufferPool {
  readonly #gpu: GPUDevice;
  readonly #events: BufferPoolEvents;
  readonly #limit: number;
  readonly #all = new Set<Held>();
  readonly #free = new Map<number, Held[]>();
  readonly #checks = new Set<Promise<void>>();
  #retired: Held[] = [];
  #live = 0;
  #peak = 0;
  #pinned = 0;
  #pooled = 0;
  #held = 0;
  #count = 0;
  #createdBuffers = 0;
  #createdBytes = 0;
  #syncs = 0;
  #closed = false;

  constructor(gpu: GPUDevice, events: BufferPoolEvents) {
    this.#gpu = gpu;
    this.#events = events;
    this.#limit = gpu.limits.maxBufferSize;
  }

  /**
   * A storage of at least `bytes`, with a reference count of 0. Pinned storages are never pooled. `track` hears
   * of every tensor made on it.
   */
  acquire(bytes: number, pinned: boolean, label: string, track?: (tensor: Tensor) => void): Storage {
    const step = pinned ? 16 : 256;
    const size = Math.min(Math.max(step, Math.ceil(bytes / step) * step), Math.floor(this.#limit / 16) * 16);
    const held = (pinned ? undefined : this.#reuse(size)) ?? this.#create(size, label);
    this.#live += held.size;
    this.#count += 1;
    if (pinned) this.#pinned += held.size;
    let references = 0;
    return {
      buffer: held.buffer,
      byteLength: bytes,
      ...(track ? { track } : {}),
      retain: () => {
        references += 1;
      },
      release: () => {
        references -= 1;
        if (references > 0 || this.#closed) return;
        this.#live -= held.size;
        this.#count -= 1;
        if (pinned) this.#pinned -= held.size;
        if (pinned || held.failed) this.#retired.push(held);
        else this.#giveBack(held);
      },
    };
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#live,
      pinnedBytes: this.#pinned,
      pooledBytes: this.#pooled,
      heldBytes: this.#held,
      peakBytes: this.#peak,
      liveTensors: this.#count,
      createdBuffers: this.#createdBuffers,
      createdBytes: this.#createdBytes,
    };
  }

  resetPeak(): void {
    this.#peak = this.#held;
  }

  /**
   * Takes out of the pool what is not needed any more: call right after a submit, and `destroy` the result when the
   * GPU has passed that submit. Weights that were freed; `idle`: also free buffers that have been idle for long;
   * `all`: also all other free buffers. How many syncs `weights` takes follows from how much is uploaded: they make no
   * buffer older.
   */
  retire(what: "weights" | "idle" | "all"): Retired {
    const batch = this.#retired;
    this.#retired = [];
    if (what !== "weights") this.#retireFree(what === "all", batch);
    return {
      destroy: () => {
        for (const held of batch) this.#destroy(held);
      },
    };
  }

  #retireFree(everything: boolean, batch: Held[]): void {
    this.#syncs += 1;
    for (const [size, list] of this.#free) {
      const kept = everything ? [] : list.filter(({ freedAt }) => this.#syncs - freedAt < IDLE_SYNCS);
      for (const held of list) if (!kept.includes(held)) batch.push(held);
      this.#pooled -= size * (list.length - kept.length);
      if (kept.length > 0) this.#free.set(size, kept);
      else this.#free.delete(size);
    }
  }

  /** Waits until the driver has answered for every buffer made so far. */
  async settled(): Promise<void> {
    await Promise.all(this.#checks);
  }

  /** Destroys every buffer, live ones too. */
  close(): void {
    this.#closed = true;
    for (const held of this.#all) held.buffer.destroy();
    this.#all.clear();
    this.#free.clear();
  }

  /** The smallest free buffer that is large enough and not much too large; of equals the one freed last. */
  #reuse(size: number): Held | undefined {
    let best = Number.POSITIVE_INFINITY;
    for (const free of this.#free.keys()) if (free >= size && free < best) best = free;
    if (best * (1 - LARGEST_WASTE) > size) return undefined;
    const list = this.#free.get(best)!;
    const held = list.pop()!;
    if (list.length === 0) this.#free.delete(best);
    this.#pooled -= best;
    return held;
  }

  #create(size: number, label: string): Held {
    this.#gpu.pushErrorScope("out-of-memory");
    const buffer = this.#gpu.createBuffer({ size, usage: USAGE, label });
    const held: Held = { buffer, size, failed: false, freedAt: 0 };
    const check = this.#gpu.popErrorScope().then(
      (error) => {
        this.#checks.delete(check);
        if (!error || this.#closed) return;
        held.failed = true;
        this.#events.outOfMemory(size, error.message);
      },
      () => {
        // The device was lost, which is reported by itself.
        this.#checks.delete(check);
      },
    );
    this.#checks.add(check);
    this.#all.add(held);
    this.#createdBuffers += 1;
    this.#createdBytes += size;
    this.#held += size;
    this.#peak = Math.max(this.#peak, this.#held);
    return held;
  }

  #giveBack(held: Held): void {
    held.freedAt = this.#syncs;
    const list = this.#free.get(held.size);
    if (list) list.push(held);
    else this.#free.set(held.size, [held]);
    this.#pooled += held.size;
  }

  #destroy(held: Held): void {
    if (!this.#all.delete(held)) return;
    this.#held -= held.size;
    held.buffer.destroy();
  }
}
