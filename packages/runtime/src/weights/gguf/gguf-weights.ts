/** Tensors by name from one GGUF file: plain ones as they are, blocks of quantized numbers as the floats they stand for. */
import { checkOptionKinds, ShapeError } from "../../errors.js";
import { quoted } from "../../printable.js";
import { packedBlock } from "../../tensor/dtype.js";
import type { ByteSource } from "../byte-source.js";
import {
  type ConvertedTensor,
  readConverted,
  roundedTo,
  SCALED_BYTES,
  SCALED_DTYPES,
  type ScaledDType,
  streamConverted,
} from "../converted-tensor.js";
import { packedGgmlType, packGgmlBlocks } from "../packed/packed-blocks.js";
import { missingTensor, PrefixedWeights } from "../weight-names.js";
import type { ByteRange, OnChunk, PackedTensor, TensorInfo, WeightSource } from "../weight-source.js";
import { type BlockGgmlType, isBlockType } from "./ggml-types.js";
import type { GgufValue } from "./gguf-cursor.js";
import { type GgufEntry, type GgufHeader, readGgufHeader } from "./gguf-header.js";

export interface GgufWeights extends WeightSource {
  /** All of the file's metadata with its types; `metadata` holds what of it is text. */
  readonly values: ReadonlyMap<string, GgufValue>;
}

export interface OpenGgufOptions {
  /** Type that quantized tensors are read as. Default F32, which is what they stand for; the others round once more. */
  readonly scaledDType?: ScaledDType;
}

/**
 * The tensors of a GGUF file of version 2 or 3. Owns the source from here on: `close` closes it, and so does a failure.
 * @throws WeightsError as `readGgufHeader`; UsageError `BAD_OPTION`
 */
export async function openGguf(source: ByteSource, options: OpenGgufOptions = {}): Promise<GgufWeights> {
  try {
    checkOptionKinds({ scaledDType: SCALED_DTYPES }, options, "openGguf");
    return new GgufFile(source, await readGgufHeader(source), options.scaledDType ?? "F32");
  } catch (error) {
    await source.close();
    throw error;
  }
}

class GgufFile implements GgufWeights {
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly totalBytes: number;
  readonly parameterCount: number;
  readonly #source: ByteSource;
  readonly #tensors: ReadonlyMap<string, GgufEntry>;
  readonly #scaled: ScaledDType;

  constructor(source: ByteSource, header: GgufHeader, scaled: ScaledDType) {
    this.#source = source;
    this.#tensors = header.tensors;
    this.#scaled = scaled;
    this.values = header.metadata;
    this.metadata = Object.fromEntries(
      [...header.metadata].filter((entry): entry is [string, string] => typeof entry[1] === "string"),
    );
    const infos = [...this.#tensors.keys()].map((name) => this.info(name));
    this.totalBytes = infos.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.parameterCount = infos.reduce((sum, { shape }) => sum + countOf(shape), 0);
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): TensorInfo {
    const { type, shape, byteLength } = this.#entry(name);
    const file = this.#source.name;
    if (!isBlockType(type)) return { dtype: type.plain, shape, byteLength, file };
    const dtype = this.#scaled;
    return {
      ...{ dtype, shape, byteLength: countOf(shape) * SCALED_BYTES[dtype], file },
      stored: { dtype: type.name, byteLength },
    };
  }

  async read(name: string, range?: ByteRange): Promise<Uint8Array> {
    const entry = this.#entry(name);
    if (isBlockType(entry.type)) return readConverted(this.#converted(name, entry, entry.type), range);
    const { byteOffset, byteLength } = plainRange(name, entry, range);
    return this.#source.read(entry.byteOffset + byteOffset, byteLength);
  }

  async stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    const entry = this.#entry(name);
    if (isBlockType(entry.type)) {
      return streamConverted(this.#converted(name, entry, entry.type), chunkBytes, onChunk, range);
    }
    const step = Math.max(24, chunkBytes - (chunkBytes % 24));
    await this.#streamStored(entry, step, onChunk, plainRange(name, entry, range));
  }

  packed(name: string): PackedTensor | undefined {
    const entry = this.#entry(name);
    const { type, shape } = entry;
    const dtype = isBlockType(type) ? packedGgmlType(type.name) : undefined;
    if (dtype === undefined || !isBlockType(type) || shape.length !== 2) return undefined;
    const { elements, words } = packedBlock(dtype);
    if (shape[1]! % elements !== 0) return undefined;
    const stored = (elements / type.elements) * type.bytes;
    return {
      ...{ dtype, byteLength: (entry.byteLength / stored) * words * 4 },
      stream: (chunkBytes, onChunk) => {
        const step = Math.max(1, Math.floor(chunkBytes / (4 * words))) * stored;
        return this.#streamStored(
          entry,
          step,
          (blocks, at) => onChunk(packGgmlBlocks(type, blocks), (at / stored) * words * 4),
          { byteOffset: 0, byteLength: entry.byteLength },
        );
      },
    };
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  #entry(name: string): GgufEntry {
    const entry = this.#tensors.get(name);
    if (entry) return entry;
    throw missingTensor(name, [...this.#tensors.keys()], this.#source.name);
  }

  #converted(name: string, entry: GgufEntry, type: BlockGgmlType): ConvertedTensor {
    const [dtype, file] = [this.#scaled, this.#source.name];
    return {
      ...{ name, count: countOf(entry.shape), dtype, block: type },
      stream: (chunkBytes, onChunk, range) => this.#streamStored(entry, chunkBytes, onChunk, range),
      convert: (blocks, first) => {
        const values = new Float32Array((blocks.length / type.bytes) * type.elements);
        type.decode(blocks, values);
        return roundedTo(dtype, values, first, { name, file });
      },
    };
  }

  async #streamStored(
    entry: GgufEntry,
    step: number,
    onChunk: OnChunk,
    { byteOffset, byteLength }: ByteRange,
  ): Promise<void> {
    const buffer = new Uint8Array(Math.min(step, byteLength));
    for (let done = 0; done < byteLength; done += step) {
      const at = byteOffset + done;
      const length = Math.min(step, byteLength - done);
      await onChunk(await this.#source.read(entry.byteOffset + at, length, buffer), at);
    }
  }
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function plainRange(name: string, { byteLength: whole }: GgufEntry, range: ByteRange | undefined): ByteRange {
  const { byteOffset, byteLength } = range ?? { byteOffset: 0, byteLength: whole };
  if (byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= whole)
    return { byteOffset, byteLength };
  throw new ShapeError(
    "RANGE_OUTSIDE_TENSOR",
    `bytes ${byteOffset} to ${byteOffset + byteLength} are outside of tensor ${quoted(name)} (${whole} bytes).`,
  );
}
