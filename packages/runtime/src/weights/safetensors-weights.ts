/**
 * Tensors by name from one or many safetensors files. Only headers are held in memory; data is read by byte range
 * when it is asked for.
 */
import { ShapeError, type WeightsError } from "../errors.js";
import { quoted } from "../printable.js";
import { formatShape, type Shape, sameShape } from "../tensor/shape.js";
import type { ByteSource } from "./byte-source.js";
import {
  HEADER_PREFIX_BYTES,
  type HeaderEntry,
  parseHeader,
  parseHeaderLength,
  type SafetensorsHeader,
  weightsError,
} from "./header.js";
import { missingTensor, PrefixedWeights } from "./weight-names.js";
import {
  type ByteRange,
  type OnChunk,
  STREAM_CHUNK_BYTES,
  type TensorInfo,
  type WeightSource,
} from "./weight-source.js";

/** One file with its parsed header. */
export interface SafetensorsFile {
  readonly source: ByteSource;
  readonly header: SafetensorsHeader;
}

/** Reads and checks the header. @throws WeightsError with any of the header's codes */
export async function readSafetensorsFile(source: ByteSource): Promise<SafetensorsFile> {
  const { name, size } = source;
  const prefix = await source.read(0, Math.min(HEADER_PREFIX_BYTES, size));
  const length = await headerLength(prefix, size, name);
  const header = parseHeader(await source.read(HEADER_PREFIX_BYTES, length), size, name);
  return { source, header };
}

/** As `parseHeaderLength`; says what a file is that begins as one of another format. */
async function headerLength(prefix: Uint8Array, size: number, name: string): Promise<number> {
  try {
    return parseHeaderLength(prefix, size, name);
  } catch (error) {
    if ((error as WeightsError).code !== "HEADER_TOO_LARGE") throw error;
    // Names of formats come where one is met.
    const { otherFormat } = await import("./other-formats.js");
    const other = otherFormat(prefix.subarray(0, HEADER_PREFIX_BYTES));
    if (!other) throw error;
    const message = `this is ${other.what}, not a safetensors file.`;
    throw weightsError("HEADER_TOO_LARGE", message, { where: name, fix: other.fix });
  }
}

/**
 * The tensors of one file, or of several that share no name. Owns the sources from here on: `close` closes them,
 * and so does a failure.
 * @throws WeightsError with any of the header's codes, `DUPLICATE_TENSOR`
 */
export async function openSafetensors(source: ByteSource | readonly ByteSource[]): Promise<WeightSource> {
  const sources = Array.isArray(source) ? (source as readonly ByteSource[]) : [source as ByteSource];
  try {
    const files: SafetensorsFile[] = [];
    for (const one of sources) files.push(await readSafetensorsFile(one));
    return weightsOf(files);
  } catch (error) {
    await Promise.allSettled(sources.map((one) => one.close()));
    throw error;
  }
}

/** A `WeightSource` over parsed files; `only` leaves out tensors that it returns false for. */
export function weightsOf(
  files: readonly SafetensorsFile[],
  only: (name: string, file: SafetensorsFile) => boolean = () => true,
): WeightSource {
  const tensors = new Map<string, Location>();
  for (const file of files) {
    for (const [name, entry] of file.header.tensors) {
      if (!only(name, file)) continue;
      const other = tensors.get(name);
      if (other) {
        throw weightsError(
          "DUPLICATE_TENSOR",
          `tensor ${quoted(name)} is in ${other.source.name} and in ${file.source.name}.`,
          { where: file.source.name, fix: "Open only the files that belong together." },
        );
      }
      tensors.set(name, { source: file.source, entry });
    }
  }
  return new SafetensorsWeights(files, tensors);
}

/**
 * The named tensor's info, once its shape is as expected.
 * @throws WeightsError `MISSING_TENSOR`, `WRONG_SHAPE`
 */
export function expectTensor(weights: WeightSource, name: string, shape: Shape): TensorInfo {
  const info = weights.info(name);
  if (sameShape(info.shape, shape)) return info;
  throw weightsError(
    "WRONG_SHAPE",
    `tensor ${quoted(name)} is ${formatShape(info.shape)}, the model expects ${formatShape(shape)}.`,
    { where: info.file, fix: "Use the weights and the config.json of the same checkpoint." },
  );
}

interface Location {
  readonly source: ByteSource;
  readonly entry: HeaderEntry;
}

class SafetensorsWeights implements WeightSource {
  readonly totalBytes: number;
  readonly parameterCount: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #files: readonly SafetensorsFile[];
  readonly #tensors: ReadonlyMap<string, Location>;
  /** The stream buffer while no stream uses it. */
  #spare: Uint8Array | undefined;

  constructor(files: readonly SafetensorsFile[], tensors: ReadonlyMap<string, Location>) {
    this.#files = files;
    this.#tensors = tensors;
    const entries = [...tensors.values()].map(({ entry }) => entry);
    this.totalBytes = entries.reduce((sum, entry) => sum + entry.byteLength, 0);
    this.parameterCount = entries.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    this.metadata = Object.assign({}, ...files.map(({ header }) => header.metadata)) as Record<
      string,
      string
    >;
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): TensorInfo {
    const { source, entry } = this.#locate(name);
    const { dtype, shape, byteLength } = entry;
    return { dtype, shape, byteLength, file: source.name };
  }

  async read(name: string, range?: ByteRange): Promise<Uint8Array> {
    const { source, entry } = this.#locate(name);
    const { byteOffset, byteLength } = checkRange(name, entry, range);
    return source.read(entry.byteOffset + byteOffset, byteLength);
  }

  async stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    const { source, entry } = this.#locate(name);
    const { byteOffset, byteLength } = checkRange(name, entry, range);
    // Multiples of 24 bytes hold whole elements of every type, the 6-bit ones included.
    const step = Math.max(24, chunkBytes - (chunkBytes % 24));
    const needed = Math.min(step, byteLength);
    let buffer = this.#spare;
    this.#spare = undefined;
    if (!buffer || buffer.length < needed) buffer = new Uint8Array(needed);
    try {
      for (let done = 0; done < byteLength; done += step) {
        const length = Math.min(step, byteLength - done);
        const chunk = await source.read(entry.byteOffset + byteOffset + done, length, buffer);
        await onChunk(chunk, byteOffset + done);
      }
    } finally {
      this.#keep(buffer);
    }
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {
    this.#spare = undefined;
    await Promise.all(this.#files.map(({ source }) => source.close()));
  }

  /** Larger buffers are not kept: who asks for them decides how long they live. */
  #keep(buffer: Uint8Array): void {
    if (buffer.length <= STREAM_CHUNK_BYTES && buffer.length > (this.#spare?.length ?? 0))
      this.#spare = buffer;
  }

  #locate(name: string): Location {
    const location = this.#tensors.get(name);
    if (location) return location;
    const where = this.#files.map(({ source }) => source.name).join(", ");
    throw missingTensor(name, [...this.#tensors.keys()], where);
  }
}

function checkRange(name: string, entry: HeaderEntry, range: ByteRange | undefined): ByteRange {
  if (!range) return { byteOffset: 0, byteLength: entry.byteLength };
  const { byteOffset, byteLength } = range;
  if (byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= entry.byteLength) return range;
  throw new ShapeError(
    "RANGE_OUTSIDE_TENSOR",
    `bytes ${byteOffset} to ${byteOffset + byteLength} are outside of tensor ${quoted(name)} (${entry.byteLength} bytes).`,
  );
}
