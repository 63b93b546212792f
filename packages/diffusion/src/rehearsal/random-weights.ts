/**
 * Weights of a real configuration without its checkpoint: names, shapes and number format of the published file, and
 * random numbers. Results mean nothing; time and memory are those of the real model.
 */
import {
  ConfigError,
  encodeFloats,
  type OnChunk,
  type PackedDType,
  type PackedTensor,
  PrefixedWeights,
  packedBlock,
  type SafetensorsDType,
  type TensorInfo,
  type WeightSource,
  WeightsError,
} from "@lvsa/runtime";
import type { ComponentDescription } from "../catalog/model-description.js";
import type { StoredDType } from "../catalog/weight-summary.js";
import { elementCount, type ParameterTensor } from "../models/definition/parameter-list.js";
import { getModelClass } from "../models/model-classes.js";

const FILE_DTYPE: Readonly<Record<StoredDType, SafetensorsDType>> = { f32: "F32", f16: "F16", bf16: "BF16" };
const BYTES: Readonly<Record<StoredDType, number>> = { f32: 4, f16: 2, bf16: 2 };
/** Numbers that all tensors are cut from, in whole words of every type; no power of two, so that neighbours differ. */
const BLOCK = 1_000_008;
/** Keeps a matrix of a few thousand rows from growing or shrinking what goes through it. */
const SCALE = 0.02;

/** The numbers of all components of a model: made once, stored in each format that is asked for. */
export class RandomNumbers {
  readonly #stored = new Map<StoredDType, Uint8Array>();
  #noise: Float32Array | undefined;

  /** @internal */
  stored(dtype: StoredDType): Uint8Array {
    let bytes = this.#stored.get(dtype);
    if (!bytes) {
      this.#noise ??= noise();
      bytes = encodeFloats(this.#noise, dtype);
      this.#stored.set(dtype, bytes);
    }
    return bytes;
  }
}

/** A source of random weights for one component; closing it frees nothing. @throws ConfigError for a bad config */
export function randomWeights(
  component: ComponentDescription,
  numbers: RandomNumbers = new RandomNumbers(),
): WeightSource {
  return new RandomWeights(
    getModelClass(component.className).parameters(component.config),
    component,
    numbers,
  );
}

class RandomWeights implements WeightSource {
  readonly metadata = {};
  readonly parameterCount: number;
  readonly totalBytes: number;
  readonly #tensors: ReadonlyMap<string, ParameterTensor>;
  readonly #stored: StoredDType;
  readonly #matrix: Uint8Array;
  readonly #ones: Uint8Array;
  readonly #packed: PackedDType | undefined;

  constructor(
    tensors: readonly ParameterTensor[],
    { storedDType: stored, packedDType }: ComponentDescription,
    numbers: RandomNumbers,
  ) {
    this.#packed = packedDType;
    if (!(stored in BYTES))
      throw new ConfigError("UNSUPPORTED_DTYPE", `there are no random weights in ${stored}.`);
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.#stored = stored;
    this.parameterCount = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    this.totalBytes = this.parameterCount * BYTES[stored];
    this.#matrix = numbers.stored(stored);
    this.#ones = encodeFloats(new Float32Array(65_536).fill(1), stored);
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): TensorInfo {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new WeightsError("MISSING_TENSOR", `the random weights have no tensor ${name}`);
    const byteLength = elementCount(tensor.shape) * BYTES[this.#stored];
    return { dtype: FILE_DTYPE[this.#stored], shape: tensor.shape, byteLength, file: "random weights" };
  }

  async read(name: string, range = { byteOffset: 0, byteLength: this.info(name).byteLength }) {
    const bytes = new Uint8Array(range.byteLength);
    await this.stream(name, range.byteLength, (chunk, at) => bytes.set(chunk, at - range.byteOffset), range);
    return bytes;
  }

  async stream(
    name: string,
    chunkBytes: number,
    onChunk: OnChunk,
    range = { byteOffset: 0, byteLength: this.info(name).byteLength },
  ): Promise<void> {
    const { shape } = this.info(name);
    // Vectors that scale (norms) are one, so that nothing vanishes; all others are small.
    const isScale = shape.length === 1 && /(weight|gamma)$/.test(name);
    const block = isScale ? this.#ones : this.#matrix;
    const end = range.byteOffset + range.byteLength;
    for (let at = range.byteOffset; at < end; ) {
      const start = at % block.length;
      const length = Math.min(chunkBytes - (chunkBytes % 4), end - at, block.length - start);
      await onChunk(block.subarray(start, start + length), at);
      at += length;
    }
  }

  /** Blocks of zeros: any bits would do but those of scales that are no numbers. */
  packed(name: string): PackedTensor | undefined {
    const tensor = this.#tensors.get(name);
    const dtype = this.#packed;
    if (!tensor?.isLinear || dtype === undefined) return undefined;
    const { elements, words } = packedBlock(dtype);
    if (tensor.shape[1]! % elements !== 0) return undefined;
    const byteLength = (elementCount(tensor.shape) / elements) * words * 4;
    const stream = async (chunkBytes: number, onChunk: OnChunk) => {
      const step = Math.max(1, Math.floor(chunkBytes / (4 * words))) * 4 * words;
      const zeros = new Uint8Array(Math.min(step, byteLength));
      for (let at = 0; at < byteLength; at += step)
        await onChunk(zeros.subarray(0, Math.min(step, byteLength - at)), at);
    };
    return { dtype, byteLength, stream };
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {}
}

/** Uniform numbers of standard deviation `SCALE`, the same every time. */
function noise(): Float32Array {
  let state = 1;
  return Float32Array.from({ length: BLOCK }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
    return ((state >>> 8) / 2 ** 24 - 0.5) * Math.sqrt(12) * SCALE;
  });
}
