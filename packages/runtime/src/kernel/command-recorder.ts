/**
 * Records dispatches and copies into one command buffer and submits it. Nothing here waits for the GPU.
 * Parameters of all dispatches of one submit share a uniform buffer, written once right before the submit.
 */
import { gpuBufferUsage } from "../device/gpu-usage.js";
import type { QueueOrder } from "../device/queue-order.js";
import type { CompiledKernel } from "./pipeline-cache.js";
import type { Profiler } from "./profiler.js";

const UNIFORM_BYTES = 64 * 1024;
const UNIFORM_SLOT = 256; // the largest minUniformBufferOffsetAlignment that WebGPU allows
const MAX_DISPATCHES = 200;
/** Of one submit; see `Dispatch.cost`. */
const MAX_COST = 2;

export interface BufferBinding {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

export class CommandRecorder {
  readonly #gpu: GPUDevice;
  readonly #profiler: Profiler | undefined;
  readonly #uniforms: GPUBuffer;
  readonly #order: QueueOrder;
  readonly #failed: (error: GPUError) => void;
  readonly #checks = new Set<Promise<void>>();
  readonly #staging = new Uint8Array(UNIFORM_BYTES);
  #used = 0;
  #dispatches = 0;
  #cost = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;

  /** `failed` hears of invalid commands, which WebGPU reports only after the submit. */
  constructor(
    gpu: GPUDevice,
    profiler: Profiler | undefined,
    order: QueueOrder,
    failed: (error: GPUError) => void,
  ) {
    this.#gpu = gpu;
    this.#profiler = profiler;
    this.#order = order;
    this.#failed = failed;
    const usage = gpuBufferUsage("UNIFORM", "COPY_DST");
    this.#uniforms = gpu.createBuffer({ size: UNIFORM_BYTES, usage, label: "params" });
  }

  /** True when there is recorded work that has not been submitted. */
  get pending(): boolean {
    return this.#encoder !== undefined;
  }

  dispatch(
    name: string,
    kernel: CompiledKernel,
    bindings: readonly BufferBinding[],
    params: ArrayBuffer | undefined,
    workgroups: readonly [number, number, number],
    cost = 0,
  ): void {
    const isFull = this.#dispatches >= MAX_DISPATCHES || this.#used + UNIFORM_SLOT > UNIFORM_BYTES;
    if (isFull || this.#cost + cost > MAX_COST) this.submit();
    const entries: GPUBindGroupEntry[] = bindings.map((resource, binding) => ({ binding, resource }));
    if (params) {
      this.#staging.set(new Uint8Array(params), this.#used);
      const resource = { buffer: this.#uniforms, offset: this.#used, size: params.byteLength };
      entries.push({ binding: entries.length, resource });
      this.#used += UNIFORM_SLOT;
    }
    const group = this.#gpu.createBindGroup({ layout: kernel.layout, entries });
    const pass = this.#computePass(name);
    pass.setPipeline(kernel.pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...workgroups);
    this.#dispatches += 1;
    this.#cost += cost;
    if (this.#profiler) this.#endPass();
  }

  copy(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number): void {
    this.#endPass();
    this.#commands().copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }

  clear(buffer: GPUBuffer, offset: number, bytes: number): void {
    this.#endPass();
    this.#commands().clearBuffer(buffer, offset, bytes);
  }

  submit(): void {
    if (!this.#encoder) return;
    this.#endPass();
    this.#profiler?.resolve(this.#encoder);
    const encoder = this.#encoder;
    const params = this.#order.isHeld
      ? this.#staging.slice(0, this.#used)
      : this.#staging.subarray(0, this.#used);
    this.#order.run(() => this.#submitNow(encoder, params));
    this.#profiler?.submitted();
    this.#clear();
  }

  /** Waits until every submit so far is known to be valid or was reported. */
  async settled(): Promise<void> {
    await Promise.all(this.#checks);
  }

  /** Drops what was recorded since the last submit. */
  discard(): void {
    this.#endPass();
    this.#profiler?.submitted();
    this.#clear();
  }

  /** Drops recorded work and frees the parameter buffer. */
  dispose(): void {
    this.#pass = undefined;
    this.#clear();
    this.#uniforms.destroy();
  }

  #submitNow(encoder: GPUCommandEncoder, params: Uint8Array<ArrayBuffer>): void {
    this.#gpu.pushErrorScope("validation");
    if (params.byteLength > 0) this.#gpu.queue.writeBuffer(this.#uniforms, 0, params);
    this.#gpu.queue.submit([encoder.finish()]);
    const check = this.#gpu.popErrorScope().then(
      (error) => {
        this.#checks.delete(check);
        if (error) this.#failed(error);
      },
      () => {
        // The device was lost, which is reported by itself.
        this.#checks.delete(check);
      },
    );
    this.#checks.add(check);
  }

  #clear(): void {
    this.#encoder = undefined;
    this.#used = 0;
    this.#dispatches = 0;
    this.#cost = 0;
  }

  #commands(): GPUCommandEncoder {
    this.#encoder ??= this.#gpu.createCommandEncoder();
    return this.#encoder;
  }

  #computePass(name: string): GPUComputePassEncoder {
    if (!this.#pass) {
      const timestampWrites = this.#profiler?.next(name);
      this.#pass = this.#commands().beginComputePass(timestampWrites ? { timestampWrites } : {});
    }
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}
