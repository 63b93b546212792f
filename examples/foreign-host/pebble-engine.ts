/**
 * Pebble, a small video engine that knows nothing of `@lvsa/diffusion`: own `GPUDevice`, own buffers, own attention layers.
 * What LVSA needs of it are the lines marked "LVSA".
 */
import { createForeignHook, type ForeignHook, type HooksOptions } from "@lvsa/hooks";
import { ATTEND, MIX, PROJECT } from "./pebble-kernels.ts";

export interface PebbleClip {
  readonly latentFrames: number;
  readonly patchesPerFrame: number;
  readonly steps: number;
}

export const PEBBLE = { layers: 2, heads: 2, headDim: 16, channels: 32 } as const;
/** Pebble was trained on clips of this many latent frames. */
export const TRAINED_FRAMES = 9;

// In Node there are no GPU globals to name them.
const USAGE = { storage: 0x80, copySource: 0x4, copyTarget: 0x8, mapRead: 0x1 } as const;

export class PebbleEngine {
  readonly #gpu: GPUDevice;
  readonly #lvsa: ForeignHook | undefined;
  readonly #project: GPUComputePipeline;
  readonly #attend: GPUComputePipeline;
  readonly #mix: GPUComputePipeline;
  #generation = 0;

  constructor(gpu: GPUDevice, options: HooksOptions = {}) {
    const { channels, heads, headDim } = PEBBLE;
    this.#gpu = gpu;
    this.#project = this.#pipeline(PROJECT, { channels });
    this.#attend = this.#pipeline(ATTEND, { heads, head_dim: headDim });
    this.#mix = this.#pipeline(MIX, {});
    // LVSA: undefined unless LVSA_WAN_HOOK is on.
    const model = { referenceLatentFrames: TRAINED_FRAMES, temporalFactor: 4 };
    this.#lvsa = createForeignHook({ ...options, gpu, family: "wan", model });
  }

  /** Denoises `x`, `[tokens, channels]`, and returns the result. */
  async generate(x: Float32Array<ArrayBuffer>, clip: PebbleClip): Promise<Float32Array> {
    const bytes = x.byteLength;
    const buffer = (usage = 0) =>
      this.#gpu.createBuffer({
        size: bytes,
        usage: USAGE.storage | USAGE.copySource | USAGE.copyTarget | usage,
      });
    const [hidden, q, k, v, attended] = [buffer(), buffer(), buffer(), buffer(), buffer()];
    const weights = Array.from({ length: PEBBLE.layers }, (_, layer) => this.#upload(pebbleWeights(layer)));
    this.#gpu.queue.writeBuffer(hidden!, 0, x);
    const generation = ++this.#generation;
    for (let index = 0; index < clip.steps; index++) {
      for (let layer = 0; layer < PEBBLE.layers; layer++) {
        this.#run(this.#project, [hidden!, weights[layer]!, q!, k!, v!], x.length);
        const step = { index, count: clip.steps, generation };
        // LVSA: the layer's attention, or false; then everything is as it always was.
        if (!this.#sparse(layer, [q!, k!, v!, attended!], clip, step)) {
          this.#run(this.#attend, [q!, k!, v!, attended!], x.length / PEBBLE.headDim);
        }
        this.#run(this.#mix, [attended!, hidden!], x.length);
      }
    }
    const result = await this.#read(hidden!, bytes);
    for (const one of [hidden, q, k, v, attended, ...weights]) one!.destroy();
    return result;
  }

  dispose(): void {
    this.#lvsa?.[Symbol.dispose]();
  }

  /** LVSA: buffers with their shape, the frame grid, the step. */
  #sparse(
    layer: number,
    buffers: readonly GPUBuffer[],
    clip: PebbleClip,
    step: { index: number; count: number; generation: number },
  ): boolean {
    if (!this.#lvsa) return false;
    const shape = [1, clip.latentFrames * clip.patchesPerFrame, PEBBLE.heads, PEBBLE.headDim];
    const [query, key, value, output] = buffers.map((buffer) => ({ buffer, shape }));
    return this.#lvsa.attend({
      layer,
      query: query!,
      key: key!,
      value: value!,
      output: output!,
      geometry: clip,
      step,
    });
  }

  #pipeline(code: string, constants: Record<string, number>): GPUComputePipeline {
    const module = this.#gpu.createShaderModule({ code });
    return this.#gpu.createComputePipeline({ layout: "auto", compute: { module, constants } });
  }

  /** One command buffer per kernel, so that LVSA's come between them in order. */
  #run(pipeline: GPUComputePipeline, buffers: readonly GPUBuffer[], invocations: number): void {
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = this.#gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.#gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(Math.ceil(invocations / 64));
    pass.end();
    this.#gpu.queue.submit([encoder.finish()]);
  }

  #upload(data: Float32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#gpu.createBuffer({
      size: data.byteLength,
      usage: USAGE.storage | USAGE.copyTarget,
    });
    this.#gpu.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  async #read(buffer: GPUBuffer, size: number): Promise<Float32Array> {
    const staging = this.#gpu.createBuffer({ size, usage: USAGE.mapRead | USAGE.copyTarget });
    const encoder = this.#gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
    this.#gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(1);
    const values = new Float32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    return values;
  }
}

/** `[3, channels]`: weights of queries, keys and values of a layer. */
export function pebbleWeights(layer: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: 3 * PEBBLE.channels }, (_, i) => 1.5 * Math.sin(1 + i * 0.7 + layer));
}

/** Noise that is the same everywhere. */
export function pebbleNoise(clip: PebbleClip): Float32Array<ArrayBuffer> {
  const length = clip.latentFrames * clip.patchesPerFrame * PEBBLE.channels;
  return Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898) * 1.7);
}
