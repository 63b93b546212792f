/** Weights that were read ahead: the same tensors, from host memory. */
import {
  type ByteRange,
  type MergedTensor,
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
  /** What is added to `bytes` on the GPU; the numbers themselves are in none of the two. */
  readonly merged: MergedTensor | undefined;
  readonly mergedBytes: number;
}

const NO_BYTES = new Uint8Array();

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
    this.heldBytes = all.reduce((sum, { bytes, mergedBytes }) => sum + bytes.byteLength + mergedBytes, 0);
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
        const merged = await HeldWeights.#sum(source.merged?.(name));
        const packed = merged ? undefined : source.packed?.(name);
        const bytes = packed ? await packedBytes(packed) : merged ? NO_BYTES : await source.read(name);
        return { info, bytes, packed, merged: merged?.tensor, mergedBytes: merged?.bytes ?? 0 };
      });
      tensors.set(name, held);
    }
    return new HeldWeights(tensors);
  }

  /** The parts of a sum in host memory. */
  static async #sum(
    merged: MergedTensor | undefined,
  ): Promise<{ tensor: MergedTensor; bytes: number } | undefined> {
    if (!merged) return undefined;
    const { dtype, base, name } = merged;
    const [bytes, changes] = [await base.read(name), await merged.changes()];
    const held = { info: base.info(name), bytes, packed: undefined, merged: undefined, mergedBytes: 0 };
    const added = changes.map((one) =>
      "up" in one ? one.up.byteLength + one.down.byteLength : one.values.byteLength,
    );
    return {
      tensor: { dtype, name, base: new HeldWeights(new Map([[name, held]])), changes: async () => changes },
      bytes: added.reduce((sum, count) => sum + count, bytes.byteLength),
    };
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

  merged(name: string): MergedTensor | undefined {
    return this.#tensor(name).merged;
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {}

  #floats(name: string, range?: ByteRange): Uint8Array {
    const { bytes, packed, merged } = this.#tensor(name);
    if (packed || merged) {
      const how = packed ? packed.dtype : "a sum";
      throw new WeightsError("UNSUPPORTED_DTYPE", `${name} is held as ${how}, not as numbers`, {
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
