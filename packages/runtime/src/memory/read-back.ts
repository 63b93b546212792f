/** Staging buffers that the processor can map, reused: reading a step's result allocates nothing. */
import { gpuBufferUsage, MAP_READ_MODE } from "../device/gpu-usage.js";

/** Kept for the next read if no larger than this; larger ones are destroyed after their read. */
const KEEP_BYTES = 64 * 1024 * 1024;

export class ReadBack {
  readonly #gpu: GPUDevice;
  readonly #busy = new Set<GPUBuffer>();
  #idle: GPUBuffer | undefined;
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
  }

  #create(bytes: number): GPUBuffer {
    const size = Math.ceil(bytes / 256) * 256;
    const usage = gpuBufferUsage("MAP_READ", "COPY_DST");
    const buffer = this.#gpu.createBuffer({ size, usage, label: "read-back" });
    this.#held += size;
    this.#created += 1;
    return buffer;
  }

  #destroy(buffer: GPUBuffer): void {
    this.#held -= buffer.size;
    buffer.destroy();
  }
}
