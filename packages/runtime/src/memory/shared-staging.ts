/**
 * Staging memory of exchanges, which come one after the other: a pass records one for each layer before the first is through,
 * so all of a direction share one buffer, which is mapped for the time of its exchange and not copied from or to by the host.
 */
import { gpuBufferUsage, MAP_READ_MODE, MAP_WRITE_MODE } from "../device/gpu-usage.js";

/** `give`: from the GPU to the host; `take`: from the host to the GPU. */
export type StagingDirection = "give" | "take";

interface Shared {
  readonly buffer: GPUBuffer;
  /** Exchanges that are recorded and not through. */
  users: number;
  /** Goes with its last user: a larger one took its place, or it may still be mapped. */
  isRetired: boolean;
}

export class SharedStaging {
  readonly #gpu: GPUDevice;
  readonly #direction: StagingDirection;
  readonly #shared = new Map<GPUBuffer, Shared>();
  #created = 0;

  constructor(gpu: GPUDevice, direction: StagingDirection) {
    this.#gpu = gpu;
    this.#direction = direction;
  }

  /** Buffers made so far. */
  get createdBuffers(): number {
    return this.#created;
  }

  /** A buffer of at least `bytes`, unmapped before work behind its exchange is submitted. Give it back with `release`. */
  acquire(bytes: number): GPUBuffer {
    for (const shared of this.#shared.values()) {
      if (shared.isRetired) continue;
      if (shared.buffer.size >= bytes) {
        shared.users += 1;
        return shared.buffer;
      }
      this.#retire(shared);
    }
    const usage =
      this.#direction === "give"
        ? gpuBufferUsage("MAP_READ", "COPY_DST")
        : gpuBufferUsage("MAP_WRITE", "COPY_SRC");
    const size = Math.ceil(Math.max(bytes, 4) / 256) * 256;
    const buffer = this.#gpu.createBuffer({ size, usage, label: `exchange (${this.#direction})` });
    this.#created += 1;
    this.#shared.set(buffer, { buffer, users: 1, isRetired: false });
    return buffer;
  }

  /**
   * The buffer's own memory, until it is unmapped: waits for the GPU's work on it so far. To `take`, its contents are
   * anything before they are written.
   */
  async map(buffer: GPUBuffer, bytes: number): Promise<Uint8Array> {
    if (bytes === 0) return new Uint8Array();
    const size = Math.ceil(bytes / 8) * 8;
    await buffer.mapAsync(this.#direction === "give" ? MAP_READ_MODE : MAP_WRITE_MODE, 0, size);
    return new Uint8Array(buffer.getMappedRange(0, size), 0, bytes);
  }

  /** `reusable`: it was mapped and unmapped, or never used. */
  release(buffer: GPUBuffer, reusable: boolean): void {
    const shared = this.#shared.get(buffer);
    if (!shared) return;
    shared.users -= 1;
    if (shared.isRetired || !reusable) this.#retire(shared);
  }

  /** Frees everything: no exchange is under way, or those that were have been dropped. */
  free(): void {
    for (const { buffer } of this.#shared.values()) buffer.destroy();
    this.#shared.clear();
  }

  #retire(shared: Shared): void {
    shared.isRetired = true;
    if (shared.users > 0) return;
    this.#shared.delete(shared.buffer);
    shared.buffer.destroy();
  }
}
