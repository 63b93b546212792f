/** `lvsa bench kernels`: attention, linear layers and convolutions of given shapes. */
import { type AttentionBench, benchAttention, timeInterleaved } from "@lvsa/core/bench";
import {
  conv3d,
  convWeightDType,
  type Device,
  deviceLabel,
  type FloatDType,
  kernelSummary,
  linear,
  packConvWeight,
  type Tensor,
} from "@lvsa/runtime";
import type { KernelShape } from "./kernel-shapes.js";

export interface ProductBench {
  readonly kind: "linear" | "conv";
  readonly shape: Extract<KernelShape, { readonly kind: "linear" | "conv" }>;
  readonly dtype: FloatDType;
  /** Kernels that ran, as `linear: matrix-f16`. */
  readonly kernels: string;
  readonly milliseconds: number;
  /** Two floating-point operations per product over the time. */
  readonly gflops: number;
}

export interface KernelBench {
  readonly device: string;
  readonly attention: readonly AttentionBench[];
  readonly products: readonly ProductBench[];
}

/** Without shapes: attention of the device's usual shape. Frees all it makes. */
export async function runBenchKernels(device: Device, shapes: readonly KernelShape[]): Promise<KernelBench> {
  const attention: AttentionBench[] = [];
  const products: ProductBench[] = [];
  if (shapes.length === 0) attention.push(await benchAttention(device));
  for (const shape of shapes) {
    if (shape.kind === "attention") attention.push(await benchAttention(device, shape));
    else products.push(await benchProduct(device, shape));
    await device.releaseMemory();
  }
  return { device: deviceLabel(device.info), attention, products };
}

async function benchProduct(device: Device, shape: ProductBench["shape"]): Promise<ProductBench> {
  const dtype = device.info.f16 && device.info.hardware === "gpu" ? "f16" : "f32";
  using owned = new DisposableList();
  const operand = (size: readonly number[]) => noise(device, size, dtype, owned);
  const run = shape.kind === "linear" ? linearRun(shape) : convRun(shape);
  const nameOf = (use: { readonly family: string; readonly rule: string }) => `${use.family} ${use.rule}`;
  const before = new Map(device.kernelUses().map((use) => [nameOf(use), use.count]));
  const [timing] = await timeInterleaved(device, [{ name: shape.kind, run: () => run().dispose() }]);
  const { milliseconds } = timing!;
  const ran = device.kernelUses().filter((use) => use.count > (before.get(nameOf(use)) ?? 0));
  return {
    kind: shape.kind,
    shape,
    dtype,
    kernels: kernelSummary(ran),
    milliseconds,
    gflops: flopsOf(shape) / milliseconds / 1e6,
  };

  function linearRun({ M, N, K }: Extract<KernelShape, { kind: "linear" }>) {
    const [x, weight, bias] = [operand([M, K]), operand([N, K]), operand([N])];
    return () => linear(device, x, weight, { bias });
  }
  function convRun(size: Extract<KernelShape, { kind: "conv" }>) {
    const { frames, height, width, inChannels, outChannels } = size;
    const x = operand([1, frames, height, width, inChannels]);
    const history = operand([1, 2, height, width, inChannels]);
    const raw = operand([outChannels, inChannels, 3, 3, 3]);
    const weight = owned.add(packConvWeight(device, raw, { dtype: convWeightDType(device, raw) }));
    const padding = { time: [2, 0], height: [1, 1], width: [1, 1] } as const;
    return () => conv3d(device, x, weight, { padding, history });
  }
}

class DisposableList implements Disposable {
  readonly #items: { dispose(): void }[] = [];

  add<Item extends { dispose(): void }>(item: Item): Item {
    this.#items.push(item);
    return item;
  }

  [Symbol.dispose](): void {
    for (const item of this.#items.splice(0)) item.dispose();
  }
}

const BLOCK = 2 ** 18;

/**
 * Numbers in [-1, 1], the same block again and again: what they are does not matter for time, except that zeros take a GPU
 * less power and so less time.
 */
function noise(device: Device, size: readonly number[], dtype: FloatDType, owned: DisposableList): Tensor {
  const count = size.reduce((product, n) => product * n, 1);
  const blocks = Math.ceil(count / BLOCK);
  const data = new Float32Array(BLOCK);
  let state = 1;
  for (let i = 0; i < BLOCK; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state / 2147483648 - 1;
  }
  const all = owned.add(device.empty([blocks, BLOCK], dtype, { pinned: true }));
  device.scope(() => {
    const block = device.upload(data, [1, BLOCK], dtype);
    for (let b = 0; b < blocks; b++) device.copyBytes(block, all.rows(b, b + 1));
  });
  const flat = owned.add(all.reshape([blocks * BLOCK]));
  const part = owned.add(flat.rows(0, count));
  return owned.add(part.reshape(size));
}

function flopsOf(shape: ProductBench["shape"]): number {
  if (shape.kind === "linear") return 2 * shape.M * shape.N * shape.K;
  const { frames, height, width, inChannels, outChannels } = shape;
  return 2 * frames * height * width * inChannels * outChannels * 27;
}
