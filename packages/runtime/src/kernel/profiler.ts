/** GPU time per kernel from timestamp queries: two timestamps around each dispatch, read back on `report`. */
import { gpuBufferUsage, MAP_READ_MODE } from "../device/gpu-usage.js";

export interface KernelTime {
  readonly name: string;
  readonly count: number;
  readonly milliseconds: number;
}

const PAIRS = 256; // more dispatches than one submit holds

export class Profiler {
  readonly #gpu: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  #names: string[] = [];
  readonly #readbacks: { buffer: GPUBuffer; names: string[] }[] = [];
  readonly #totals = new Map<string, { count: number; nanoseconds: number }>();

  /** The device needs the feature `timestamp-query`. */
  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
    this.#queries = gpu.createQuerySet({ type: "timestamp", count: PAIRS * 2 });
    this.#resolved = gpu.createBuffer({
      size: PAIRS * 16,
      usage: gpuBufferUsage("QUERY_RESOLVE", "COPY_SRC"),
    });
  }

  /** @internal */
  next(name: string): GPUComputePassTimestampWrites | undefined {
    const i = this.#names.length;
    if (i >= PAIRS) return undefined;
    this.#names.push(name);
    return { querySet: this.#queries, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
  }

  /** @internal */
  resolve(encoder: GPUCommandEncoder): void {
    const n = this.#names.length;
    if (n === 0) return;
    const buffer = this.#gpu.createBuffer({
      size: PAIRS * 16,
      usage: gpuBufferUsage("MAP_READ", "COPY_DST"),
    });
    encoder.resolveQuerySet(this.#queries, 0, 2 * n, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, buffer, 0, n * 16);
    this.#readbacks.push({ buffer, names: this.#names });
  }

  /** @internal */
  submitted(): void {
    this.#names = [];
  }

  /** GPU time since the last `reset`, longest first. Waits for submitted work. */
  async report(): Promise<KernelTime[]> {
    for (const { buffer, names } of this.#readbacks.splice(0)) {
      await buffer.mapAsync(MAP_READ_MODE);
      const stamps = new BigUint64Array(buffer.getMappedRange().slice(0));
      buffer.destroy();
      names.forEach((name, i) => {
        const total = this.#totals.get(name) ?? { count: 0, nanoseconds: 0 };
        total.count += 1;
        total.nanoseconds += Math.max(0, Number(stamps[2 * i + 1]! - stamps[2 * i]!));
        this.#totals.set(name, total);
      });
    }
    return [...this.#totals]
      .map(([name, t]) => ({ name, count: t.count, milliseconds: t.nanoseconds / 1e6 }))
      .sort((a, b) => b.milliseconds - a.milliseconds);
  }

  reset(): void {
    this.#totals.clear();
  }
}
