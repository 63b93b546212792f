/** A model's weights with LoRAs added while they are read: `W + sum of weight · alpha / rank · B A`. */
import {
  type ByteRange,
  encodeFloats,
  type FloatDType,
  type MatrixChange,
  type MergedTensor,
  namingTensor,
  type OnChunk,
  type PackedTensor,
  PrefixedWeights,
  type TensorInfo,
  uploadedDType,
  type WeightSource,
  widen,
} from "@lvsa/runtime";
import { elementCount, isSmallTensor } from "../models/definition/parameter-list.js";
import type { LoraChange } from "./lora-file.js";

/** A change with where its tensors lie and how much of it is wanted. */
export interface AppliedChange {
  readonly change: LoraChange;
  readonly source: WeightSource;
  readonly weight: number;
}

/** Type that changed tensors are read as: that of the file, or f32 where nothing is to be rounded. */
export type MergedDType = "stored" | "f32";

const SIZE: Readonly<Record<FloatDType, number>> = { f32: 4, f16: 2, bf16: 2 };
const NAME = { f32: "F32", f16: "F16", bf16: "BF16" } as const;

/** Sums are in float64 and rounded once, to f32 and then to the type that is asked for. Closing it closes `base`. */
export class MergedWeights implements WeightSource {
  readonly totalBytes: number;
  readonly parameterCount: number;
  readonly #base: WeightSource;
  readonly #changes: ReadonlyMap<string, readonly AppliedChange[]>;
  readonly #dtype: MergedDType;

  /** @param changes by the names that `base` gives the tensors, which are plain floats */
  constructor(
    base: WeightSource,
    changes: ReadonlyMap<string, readonly AppliedChange[]>,
    dtype: MergedDType,
  ) {
    this.#base = base;
    this.#changes = changes;
    this.#dtype = dtype;
    this.parameterCount = base.parameterCount;
    this.totalBytes = base.names().reduce((sum, name) => sum + this.info(name).byteLength, 0);
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#base.metadata;
  }

  names(): string[] {
    return this.#base.names();
  }

  has(name: string): boolean {
    return this.#base.has(name);
  }

  info(name: string): TensorInfo {
    const info = this.#base.info(name);
    if (!this.#changes.has(name)) return info;
    const dtype = this.#typeOf(info);
    return { ...info, dtype: NAME[dtype], byteLength: elementCount(info.shape) * SIZE[dtype] };
  }

  /** Tensors that nothing is added to stay as they are. */
  packed(name: string): PackedTensor | undefined {
    return this.#changes.has(name) ? undefined : this.#base.packed?.(name);
  }

  /** For a GPU, which adds products far faster. Vectors are as quickly read as they are. */
  merged(name: string): MergedTensor | undefined {
    const applied = this.#changes.get(name);
    if (!applied) return undefined;
    const info = this.#base.info(name);
    if (isSmallTensor(info.shape)) return undefined;
    const changes = () => Promise.all(applied.map((one) => matrixChange(one, info.shape)));
    return { dtype: this.#typeOf(info), base: this.#base, name, changes };
  }

  async read(name: string, range?: ByteRange): Promise<Uint8Array> {
    if (!this.#changes.has(name)) return this.#base.read(name, range);
    const { byteLength, byteOffset } = range ?? { byteOffset: 0, byteLength: this.info(name).byteLength };
    const out = new Uint8Array(byteLength);
    await this.stream(name, Math.max(1, byteLength), (chunk, at) => out.set(chunk, at - byteOffset), {
      byteOffset,
      byteLength,
    });
    return out;
  }

  async stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    const applied = this.#changes.get(name);
    if (!applied) return this.#base.stream(name, chunkBytes, onChunk, range);
    const stored = this.#base.info(name);
    const type = this.#typeOf(stored);
    const size = SIZE[type];
    const { byteOffset, byteLength } = range ?? { byteOffset: 0, byteLength: this.info(name).byteLength };
    const storedSize = stored.byteLength / elementCount(stored.shape);
    const elements = Math.max(1, Math.floor(chunkBytes / Math.max(size, storedSize)));
    const adders = await Promise.all(applied.map((one) => adderOf(one, stored.shape)));
    await this.#base.stream(
      name,
      elements * storedSize,
      (chunk, at) => {
        const first = at / storedSize;
        const sums = Float64Array.from(widen(chunk, stored.dtype, name));
        for (const add of adders) add(sums, first);
        return onChunk(encodeFloats(Float32Array.from(sums), type), first * size);
      },
      {
        byteOffset: (byteOffset / size) * storedSize,
        byteLength: (byteLength / size) * storedSize,
      },
    );
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  close(): Promise<void> {
    return this.#base.close();
  }

  #typeOf({ dtype }: TensorInfo): FloatDType {
    return this.#dtype === "f32" ? "f32" : (uploadedDType(dtype) as FloatDType);
  }
}

/** A change as a GPU adds it; the scale is in one of the factors. */
async function matrixChange(
  { change, source, weight }: AppliedChange,
  shape: readonly number[],
): Promise<MatrixChange> {
  const columns = elementCount(shape) / shape[0]!;
  const rows = shape[0]! / change.target[1];
  const scale = weight * change.factor;
  const [upKey, downKey] = change.keys;
  const place = { firstRow: change.target[0] * rows, rows };
  const down = downKey === undefined ? undefined : await floats(source, downKey);
  const width = down ? down.length / columns : columns;
  const from = change.source[0] * rows * width;
  const scaled = (await floats(source, upKey))
    .subarray(from, from + rows * width)
    .map((value) => value * scale);
  return down ? { ...place, up: scaled, down, rank: width } : { ...place, values: scaled };
}

/** Adds a change to elements of the tensor from `first` on. */
type Adder = (sums: Float64Array, first: number) => void;

async function adderOf({ change, source, weight }: AppliedChange, shape: readonly number[]): Promise<Adder> {
  const columns = elementCount(shape) / shape[0]!;
  const rows = shape[0]! / change.target[1];
  const firstRow = change.target[0] * rows;
  const sourceRow = change.source[0] * rows;
  const scale = weight * change.factor;
  const [upKey, downKey] = change.keys;
  const up = await floats(source, upKey);
  if (downKey === undefined) {
    return (sums, first) => {
      const from = Math.max(0, firstRow * columns - first);
      const to = Math.min(sums.length, (firstRow + rows) * columns - first);
      const offset = first + (sourceRow - firstRow) * columns;
      for (let i = from; i < to; i++) sums[i]! += scale * up[i + offset]!;
    };
  }
  const down = await floats(source, downKey);
  const rank = down.length / columns;
  return (sums, first) => {
    const last = first + sums.length;
    const begin = Math.max(firstRow, Math.floor(first / columns));
    const end = Math.min(firstRow + rows, Math.ceil(last / columns));
    for (let row = begin; row < end; row++) {
      const start = Math.max(first, row * columns);
      const stop = Math.min(last, (row + 1) * columns);
      const target = sums.subarray(start - first, stop - first);
      const column = start - row * columns;
      const factors = up.subarray(
        (row - firstRow + sourceRow) * rank,
        (row - firstRow + sourceRow + 1) * rank,
      );
      addProduct(target, factors, down, columns, column, scale);
    }
  };
}

/** `target += scale · factors · down[:, column…]`, four rows of `down` at a time: most of the time is spent here. */
function addProduct(
  target: Float64Array,
  factors: Float32Array,
  down: Float32Array,
  columns: number,
  column: number,
  scale: number,
): void {
  const rank = factors.length;
  const width = target.length;
  let r = 0;
  for (; r + 4 <= rank; r += 4) {
    const [f0, f1] = [scale * factors[r]!, scale * factors[r + 1]!];
    const [f2, f3] = [scale * factors[r + 2]!, scale * factors[r + 3]!];
    const d0 = down.subarray(r * columns + column, r * columns + column + width);
    const d1 = down.subarray((r + 1) * columns + column, (r + 1) * columns + column + width);
    const d2 = down.subarray((r + 2) * columns + column, (r + 2) * columns + column + width);
    const d3 = down.subarray((r + 3) * columns + column, (r + 3) * columns + column + width);
    for (let i = 0; i < width; i++) {
      target[i]! += f0 * d0[i]! + f1 * d1[i]! + f2 * d2[i]! + f3 * d3[i]!;
    }
  }
  for (; r < rank; r++) {
    const factor = scale * factors[r]!;
    for (let i = 0; i < width; i++) target[i]! += factor * down[r * columns + column + i]!;
  }
}

function floats(source: WeightSource, key: string): Promise<Float32Array> {
  return namingTensor(source, key, async () =>
    Float32Array.from(widen(await source.read(key), source.info(key).dtype, key)),
  );
}
