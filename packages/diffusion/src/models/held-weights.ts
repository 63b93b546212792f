/** Weights that were read ahead: the same tensors, from host memory. */
import {
  type ByteRange,
  namingTensor,
  type OnChunk,
  type PackedTensor,
  PrefixedWeights,
  STREAM_CHUNK_BYTES,
  type TensorInfo,
  throwIfAborted,
  type WeightSource,
  WeightsError,
} from "@lvsa/runtime";

interface HeldTensor {
  readonly info: TensorInfo;
  /** As `read` gives them, or as `packed` does where the tensor stays quantized. */
  readonly bytes: Uint8Array;
  readonly packed: PackedTensor | undefined;
}

/** Closing it closes nothing. */
export class HeldWeights implements WeightSource {
  readonly metadata = {};
  readonly totalBytes: number;
  readonly parameterCount: number;
  /** Bytes of host memory. */
  readonly heldBytes: number;
  readonly #tensors: ReadonlyMap<string, HeldTensor>;

  private constructor(tensors: ReadonlyMap<string, HeldTensor>) {
    this.#tensors = tensors;
    const all = [...tensors.values()];
    this.totalBytes = all.reduce((sum, { info }) => sum + info.byteLength, 0);
    this.heldBytes = all.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    this.parameterCount = all.reduce((sum, { info }) => sum + info.shape.reduce((a, b) => a * b, 1), 0);
  }

  /** Reads `names` of `source`, each in the form that is uploaded. @throws WeightsError, AbortError */
  static async read(
    source: WeightSource,
    names: readonly string[],
    signal?: AbortSignal,
  ): Promise<HeldWeights> {
    const tensors = new Map<string, HeldTensor>();
    for (const name of names) {
      throwIfAborted(signal, "loading the weights");
      const held = await namingTensor(source, name, async () => {
        const info = source.info(name);
        const packed = source.packed?.(name);
        return { info, packed, bytes: packed ? await packedBytes(packed) : await source.read(name) };
      });
      tensors.set(name, held);
    }
    return new HeldWeights(tensors);
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): TensorInfo {
    return this.#tensor(name).info;
  }

  async read(name: string, range?: ByteRange): Promise<Uint8Array> {
    return this.#floats(name, range).slice();
  }

  async stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    await inChunks(this.#floats(name, range), chunkBytes, onChunk, range?.byteOffset ?? 0);
  }

  packed(name: string): PackedTensor | undefined {
    const { packed, bytes } = this.#tensor(name);
    if (!packed) return undefined;
    const stream = (chunkBytes: number, onChunk: OnChunk) => inChunks(bytes, chunkBytes, onChunk, 0);
    return { dtype: packed.dtype, byteLength: packed.byteLength, stream };
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {}

  #floats(name: string, range?: ByteRange): Uint8Array {
    const { bytes, packed } = this.#tensor(name);
    if (packed) {
      throw new WeightsError("UNSUPPORTED_DTYPE", `${name} is held as ${packed.dtype}, not as numbers`, {
        fix: "This is a fault of the library: please report it.",
      });
    }
    const { byteOffset, byteLength } = range ?? { byteOffset: 0, byteLength: bytes.byteLength };
    return bytes.subarray(byteOffset, byteOffset + byteLength);
  }

  #tensor(name: string): HeldTensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new WeightsError("MISSING_TENSOR", `${name} is not among the weights that were read`);
    return tensor;
  }
}

async function packedBytes(packed: PackedTensor): Promise<Uint8Array> {
  const bytes = new Uint8Array(packed.byteLength);
  await packed.stream(STREAM_CHUNK_BYTES, (chunk, at) => bytes.set(chunk, at));
  return bytes;
}

/** Pieces of whole words: nothing is decoded on the way. */
async function inChunks(
  bytes: Uint8Array,
  chunkBytes: number,
  onChunk: OnChunk,
  from: number,
): Promise<void> {
  const step = Math.max(48, chunkBytes - (chunkBytes % 48));
  for (let at = 0; at < bytes.byteLength; at += step) {
    await onChunk(bytes.subarray(at, Math.min(at + step, bytes.byteLength)), from + at);
  }
}
