/** Staging buffers that the processor can map, reused: reading a step's result allocates nothing. */
import { gpuBufferUsage, MAP_READ_MODE } from "../device/gpu-usage.js";

/** Kept for the next read if no larger than this; larger ones are destroyed after their read. */
const KEEP_BYTES = 64 * 1024 * 1024;

/** A staging buffer of exchanges, which come one after the other: what one has read, the next one fills. */
interface Shared {
  readonly buffer: GPUBuffer;
  /** Exchanges that are recorded and not through. */
  users: number;
  /** Goes with its last user: a larger one took its place, or it may still be mapped. */
  isRetired: boolean;
}

export class ReadBack {
  readonly #gpu: GPUDevice;
  readonly #busy = new Set<GPUBuffer>();
  #idle: GPUBuffer | undefined;
  readonly #shared = new Map<GPUBuffer, Shared>();
  /** Where exchanges' bytes are copied to: kept, since fresh memory of that size costs more than the copy. */
  #scratch = new Uint8Array();
  #held = 0;
  #created = 0;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  /** Bytes of staging memory that exist now. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Staging buffers made so far. */
  get createdBuffers(): number {
    return this.#created;
  }

  /** A mappable buffer of at least `bytes`; give it back with `release`. */
  acquire(bytes: number): GPUBuffer {
    let buffer = this.#idle;
    this.#idle = undefined;
    if (buffer && (buffer.size < bytes || buffer.size > 8 * bytes + KEEP_BYTES / 16)) {
      this.#destroy(buffer);
      buffer = undefined;
    }
    buffer ??= this.#create(bytes);
    this.#busy.add(buffer);
    return buffer;
  }

  /**
   * For an exchange: a pass records one for each layer before the first is through, so they share a buffer, which must be
   * unmapped before work behind an exchange is submitted. Give it back with `releaseShared`.
   */
  acquireShared(bytes: number): GPUBuffer {
    for (const shared of this.#shared.values()) {
      if (shared.isRetired) continue;
      if (shared.buffer.size >= bytes) {
        shared.users += 1;
        return shared.buffer;
      }
      this.#retire(shared);
    }
    const buffer = this.#create(bytes);
    this.#shared.set(buffer, { buffer, users: 1, isRetired: false });
    return buffer;
  }

  /** As `read`, into memory that the next call writes over. */
  async readShared(buffer: GPUBuffer, bytes: number): Promise<Uint8Array> {
    const size = Math.ceil(bytes / 8) * 8;
    await buffer.mapAsync(MAP_READ_MODE, 0, size);
    if (this.#scratch.byteLength < bytes) this.#scratch = new Uint8Array(bytes);
    this.#scratch.set(new Uint8Array(buffer.getMappedRange(0, size), 0, bytes));
    buffer.unmap();
    return this.#scratch.subarray(0, bytes);
  }

  /** `reusable`: it was mapped and unmapped, or never used. */
  releaseShared(buffer: GPUBuffer, reusable: boolean): void {
    const shared = this.#shared.get(buffer);
    if (!shared) return;
    shared.users -= 1;
    if (shared.isRetired || !reusable) this.#retire(shared);
  }

  /** Frees what exchanges hold: none is under way, or those that were have been dropped. */
  freeShared(): void {
    for (const { buffer } of this.#shared.values()) this.#destroy(buffer);
    this.#shared.clear();
    this.#scratch = new Uint8Array();
  }

  /** Maps `bytes` from the start and returns a copy. The copy into the buffer must have been submitted. */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    await buffer.mapAsync(MAP_READ_MODE, 0, Math.ceil(bytes / 8) * 8);
    const copy = buffer.getMappedRange(0, Math.ceil(bytes / 8) * 8).slice(0, bytes);
    buffer.unmap();
    return copy;
  }

  /** `reusable`: it was mapped and unmapped, or never used. */
  release(buffer: GPUBuffer, reusable: boolean): void {
    if (!this.#busy.delete(buffer)) return;
    if (reusable && !this.#idle && buffer.size <= KEEP_BYTES) this.#idle = buffer;
    else this.#destroy(buffer);
  }

  dispose(): void {
    for (const buffer of this.#busy) this.#destroy(buffer);
    this.#busy.clear();
    if (this.#idle) this.#destroy(this.#idle);
    this.#idle = undefined;
    this.freeShared();
  }

  #create(bytes: number): GPUBuffer {
    const size = Math.ceil(bytes / 256) * 256;
    const usage = gpuBufferUsage("MAP_READ", "COPY_DST");
    const buffer = this.#gpu.createBuffer({ size, usage, label: "read-back" });
    this.#held += size;
    this.#created += 1;
    return buffer;
  }

  #retire(shared: Shared): void {
    shared.isRetired = true;
    if (shared.users > 0) return;
    this.#shared.delete(shared.buffer);
    this.#destroy(shared.buffer);
  }

  #destroy(buffer: GPUBuffer): void {
    this.#held -= buffer.size;
    buffer.destroy();
  }
}
