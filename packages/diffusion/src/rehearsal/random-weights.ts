/**
 * Weights of a real configuration without its checkpoint: names, shapes and number format of the published file, and
 * random numbers. Results mean nothing; time and memory are those of the real model.
 */
import {
  ConfigError,
  encodeFloats,
  type MergedTensor,
  type OnChunk,
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
import { elementCount, isSmallTensor, type ParameterTensor } from "../models/definition/parameter-list.js";
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
  readonly #ones = new Map<StoredDType, Uint8Array>();
  #noise: Float32Array | undefined;

  /** @internal */
  stored(dtype: StoredDType, areOnes = false): Uint8Array {
    if (areOnes) {
      const ones = this.#ones.get(dtype) ?? encodeFloats(new Float32Array(65_536).fill(1), dtype);
      this.#ones.set(dtype, ones);
      return ones;
    }
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
  merged?: MergedTensors,
): WeightSource {
  return new RandomWeights(
    getModelClass(component.className).parameters(component.config),
    component,
    numbers,
    merged,
  );
}

/** Tensors that LoRAs change, and that therefore do not lie on the GPU as they lie in the file. */
export interface MergedTensors {
  /** By their names in the class, the ranks of the products that are added to each; 0 for other numbers. */
  readonly ranks: ReadonlyMap<string, readonly number[]>;
  /** `stored`: the type of the file's floats. */
  readonly dtype: "stored" | "f32";
}

class RandomWeights implements WeightSource {
  readonly metadata = {};
  readonly parameterCount: number;
  readonly totalBytes: number;
  readonly #tensors: ReadonlyMap<string, ParameterTensor>;
  readonly #component: ComponentDescription;
  readonly #numbers: RandomNumbers;
  readonly #merged: MergedTensors | undefined;

  constructor(
    tensors: readonly ParameterTensor[],
    component: ComponentDescription,
    numbers: RandomNumbers,
    merged: MergedTensors | undefined,
  ) {
    this.#merged = merged;
    this.#numbers = numbers;
    this.#component = component;
    const { storedDType } = component;
    if (!(storedDType in BYTES))
      throw new ConfigError("UNSUPPORTED_DTYPE", `there are no random weights in ${storedDType}.`);
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.parameterCount = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    this.totalBytes = tensors.reduce((sum, { name }) => sum + this.info(name).byteLength, 0);
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
    const stored = this.#typeOf(name);
    const byteLength = elementCount(tensor.shape) * BYTES[stored];
    return { dtype: FILE_DTYPE[stored], shape: tensor.shape, byteLength, file: "random weights" };
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
    const block = this.#numbers.stored(this.#typeOf(name), isScale);
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
    const dtype = this.#usual(name).packedDType;
    if (!tensor?.isLinear || dtype === undefined || this.#merged?.ranks.has(name)) return undefined;
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

  /** The same numbers, to which zeros are added. */
  merged(name: string): MergedTensor | undefined {
    const ranks = this.#merged?.ranks.get(name);
    const { shape } = this.info(name);
    if (!ranks || isSmallTensor(shape)) return undefined;
    const rows = shape[0]!;
    const columns = elementCount(shape) / rows;
    const zeros = (count: number) => new Float32Array(count);
    const changes = async () =>
      ranks.map((rank) => ({
        ...{ firstRow: 0, rows },
        ...(rank === 0
          ? { values: zeros(rows * columns) }
          : { up: zeros(rows * rank), down: zeros(rank * columns), rank }),
      }));
    const base = new RandomWeights([this.#tensors.get(name)!], this.#component, this.#numbers, undefined);
    return { dtype: this.#typeOf(name), base, name, changes };
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {}

  #typeOf(name: string): StoredDType {
    return this.#merged?.dtype === "f32" && this.#merged.ranks.has(name)
      ? "f32"
      : this.#usual(name).storedDType;
  }

  #usual(name: string): Pick<ComponentDescription, "storedDType" | "packedDType"> {
    return this.#component.exceptions?.get(name) ?? this.#component;
  }
}

/** Uniform numbers of standard deviation `SCALE`, the same every time. */
function noise(): Float32Array {
  let state = 1;
  return Float32Array.from({ length: BLOCK }, () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
    return ((state >>> 8) / 2 ** 24 - 0.5) * Math.sqrt(12) * SCALE;
  });
}
