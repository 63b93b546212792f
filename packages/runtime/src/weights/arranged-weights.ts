/** Tensors of a file under other names: whole, cut along their first axis, put together again, reshaped or transposed. */
import { ShapeError } from "../errors.js";
import { quoted } from "../printable.js";
import { formatShape, type Shape, sameShape } from "../tensor/shape.js";
import { bitsPerStoredElement } from "./safetensors-dtype.js";
import { missingTensor, PrefixedWeights } from "./weight-names.js";
import type { ByteRange, OnChunk, PackedTensor, TensorInfo, WeightSource } from "./weight-source.js";

/** Where a tensor comes from. */
export interface Arrangement {
  /** Name in the file. */
  readonly from: string;
  /** Equal parts of its first axis, in the order in which they are joined: `{ of: 2, take: [1, 0] }` swaps halves. */
  readonly parts?: { readonly of: number; readonly take: readonly number[] };
  /** Of as many elements. */
  readonly shape?: Shape;
  /** A matrix whose rows are the file's columns. It is read whole. */
  readonly isTransposed?: boolean;
}

/**
 * The tensors of `source` under the names of `tensors`; what no entry names is not there. Owns the source: closing the
 * result closes it. A part is read as a range of the file's tensor, nothing is held.
 * @throws ShapeError `SHAPE_MISMATCH` where an entry does not fit the tensor it names; WeightsError `MISSING_TENSOR`
 */
export function arrangeWeights(
  source: WeightSource,
  tensors: ReadonlyMap<string, Arrangement>,
): WeightSource {
  return new ArrangedWeights(
    source,
    new Map([...tensors].map(([name, one]) => [name, place(source, name, one)])),
  );
}

interface Place {
  readonly from: string;
  readonly info: TensorInfo;
  /** Bytes of the file's tensor, in order. */
  readonly ranges: readonly ByteRange[];
  readonly isTransposed: boolean;
}

function place(
  source: WeightSource,
  name: string,
  { from, parts, shape, isTransposed = false }: Arrangement,
): Place {
  const info = source.info(from);
  const fail = (what: string) =>
    new ShapeError(
      "SHAPE_MISMATCH",
      `${quoted(name)} is ${what} of ${quoted(from)} ${formatShape(info.shape)}.`,
    );
  const whole = { byteOffset: 0, byteLength: info.byteLength };
  let sizes = info.shape;
  let ranges: ByteRange[] = [whole];
  if (parts) {
    const [rows = 0, ...rest] = info.shape;
    if (rows % parts.of !== 0 || parts.take.some((part) => part >= parts.of))
      throw fail(`parts ${parts.take.join(", ")} of ${parts.of}`);
    const byteLength = info.byteLength / parts.of;
    ranges = parts.take.map((part) => ({ byteOffset: part * byteLength, byteLength }));
    sizes = [(rows / parts.of) * parts.take.length, ...rest];
  }
  if (isTransposed) {
    if (sizes.length !== 2) throw fail("the transposed matrix");
    sizes = [sizes[1]!, sizes[0]!];
  }
  const count = (one: Shape) => one.reduce((a, b) => a * b, 1);
  if (shape && count(shape) !== count(sizes)) throw fail(`the shape ${formatShape(shape)}`);
  const byteLength = ranges.reduce((sum, range) => sum + range.byteLength, 0);
  const { stored } = info;
  return {
    ...{ from, ranges: joined(ranges), isTransposed },
    info: {
      ...{ ...info, shape: shape ?? sizes, byteLength },
      ...(stored
        ? { stored: { ...stored, byteLength: (stored.byteLength * byteLength) / info.byteLength } }
        : {}),
    },
  };
}

/** Parts that follow one another in the file are one range. */
function joined(ranges: readonly ByteRange[]): ByteRange[] {
  const out: ByteRange[] = [];
  for (const range of ranges) {
    const last = out.at(-1);
    if (last && last.byteOffset + last.byteLength === range.byteOffset)
      out[out.length - 1] = { byteOffset: last.byteOffset, byteLength: last.byteLength + range.byteLength };
    else out.push(range);
  }
  return out;
}

class ArrangedWeights implements WeightSource {
  readonly totalBytes: number;
  readonly parameterCount: number;
  readonly #source: WeightSource;
  readonly #places: ReadonlyMap<string, Place>;

  constructor(source: WeightSource, places: ReadonlyMap<string, Place>) {
    this.#source = source;
    this.#places = places;
    const infos = [...places.values()].map(({ info }) => info);
    this.totalBytes = infos.reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.parameterCount = infos.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.#source.metadata;
  }

  names(): string[] {
    return [...this.#places.keys()];
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  info(name: string): TensorInfo {
    return this.#place(name).info;
  }

  async read(name: string, range?: ByteRange): Promise<Uint8Array> {
    const found = this.#place(name);
    if (found.isTransposed) return cut(name, await this.#transposed(found), range);
    const pieces = selected(name, found, range);
    if (pieces.length === 1) return this.#source.read(found.from, pieces[0]!);
    const bytes = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
    let done = 0;
    for (const piece of pieces) {
      bytes.set(await this.#source.read(found.from, piece), done);
      done += piece.byteLength;
    }
    return bytes;
  }

  async stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void> {
    const found = this.#place(name);
    let done = range?.byteOffset ?? 0;
    if (found.isTransposed) {
      const bytes = cut(name, await this.#transposed(found), range);
      const step = Math.max(24, chunkBytes - (chunkBytes % 24));
      for (let at = 0; at < bytes.length; at += step) await onChunk(bytes.subarray(at, at + step), done + at);
      return;
    }
    for (const piece of selected(name, found, range)) {
      const start = done;
      await this.#source.stream(
        found.from,
        chunkBytes,
        (chunk, at) => onChunk(chunk, start + at - piece.byteOffset),
        piece,
      );
      done += piece.byteLength;
    }
  }

  /** Whole tensors alone: blocks of parts would have to be cut out of the packed form. */
  packed(name: string): PackedTensor | undefined {
    const { from, info, isTransposed, ranges } = this.#place(name);
    const stored = this.#source.info(from);
    const isWhole = ranges.length === 1 && ranges[0]!.byteLength === stored.byteLength;
    return isWhole && !isTransposed && sameShape(info.shape, stored.shape)
      ? this.#source.packed?.(from)
      : undefined;
  }

  withPrefix(prefix: string): WeightSource {
    return new PrefixedWeights(this, prefix);
  }

  async close(): Promise<void> {
    await this.#source.close();
  }

  #place(name: string): Place {
    const found = this.#places.get(name);
    if (found) return found;
    const files = new Set([...this.#places.values()].map(({ info }) => info.file));
    throw missingTensor(name, [...this.#places.keys()], [...files].join(", "));
  }

  async #transposed({ from, info, ranges }: Place): Promise<Uint8Array> {
    const [rows = 0, columns = 0] = info.shape;
    const size = bitsPerStoredElement(info.dtype) / 8;
    const stored = await this.#source.read(from, ranges[0]!);
    const out = new Uint8Array(stored.length);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const [to, at] = [(row * columns + column) * size, (column * rows + row) * size];
        for (let byte = 0; byte < size; byte++) out[to + byte] = stored[at + byte]!;
      }
    }
    return out;
  }
}

/** The pieces of the file's tensor that a range of the arranged one is. */
function selected(name: string, { ranges, info }: Place, range: ByteRange | undefined): ByteRange[] {
  const { byteOffset, byteLength } = checked(name, info.byteLength, range);
  const out: ByteRange[] = [];
  let start = 0;
  for (const one of ranges) {
    const from = Math.max(byteOffset, start);
    const to = Math.min(byteOffset + byteLength, start + one.byteLength);
    if (from < to) out.push({ byteOffset: one.byteOffset + from - start, byteLength: to - from });
    start += one.byteLength;
  }
  return out;
}

function cut(name: string, bytes: Uint8Array, range: ByteRange | undefined): Uint8Array {
  const { byteOffset, byteLength } = checked(name, bytes.length, range);
  return bytes.subarray(byteOffset, byteOffset + byteLength);
}

function checked(name: string, whole: number, range: ByteRange | undefined): ByteRange {
  const { byteOffset, byteLength } = range ?? { byteOffset: 0, byteLength: whole };
  if (byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= whole)
    return { byteOffset, byteLength };
  throw new ShapeError(
    "RANGE_OUTSIDE_TENSOR",
    `bytes ${byteOffset} to ${byteOffset + byteLength} are outside of tensor ${quoted(name)} (${whole} bytes).`,
  );
}
