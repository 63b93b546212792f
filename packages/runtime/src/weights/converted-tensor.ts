/** Tensors that are read as floats though a file keeps them otherwise: ranges and pieces of what is stored. */
import { ShapeError } from "../errors.js";
import { quoted } from "../printable.js";
import { encodeFloats } from "../tensor/dtype.js";
import { weightsError } from "./header.js";
import type { ByteRange, OnChunk } from "./weight-source.js";

/** What converted numbers are rounded to. */
export const SCALED_DTYPES = ["F32", "F16", "BF16"] as const;
export type ScaledDType = (typeof SCALED_DTYPES)[number];

export const SCALED_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;

/** Stored numbers that are converted at a time: a multiple of 24 and of every block. */
export const NUMBERS_AT_A_TIME = 24 * 16384;

export interface ConvertedTensor {
  /** For errors. */
  readonly name: string;
  /** Numbers in it. */
  readonly count: number;
  /** Type that reading gives. */
  readonly dtype: ScaledDType;
  /** What is stored together: so many numbers in so many bytes. */
  readonly block: { readonly elements: number; readonly bytes: number };
  /** Stored bytes of whole blocks, in pieces of whole blocks. */
  stream(chunkBytes: number, onChunk: OnChunk, range: ByteRange): Promise<void>;
  /** Whole blocks that begin at number `first`, to bytes of `dtype`, which the next call may overwrite. */
  convert(blocks: Uint8Array, first: number): Uint8Array;
}

/**
 * Hands converted bytes to `onChunk` as `WeightSource.stream` does it. A range may begin and end inside of a block.
 * @throws ShapeError `RANGE_OUTSIDE_TENSOR`, `RANGE_SPLITS_ELEMENT`
 */
export async function streamConverted(
  tensor: ConvertedTensor,
  chunkBytes: number,
  onChunk: OnChunk,
  range?: ByteRange,
): Promise<void> {
  const { block, dtype } = tensor;
  const width = SCALED_BYTES[dtype];
  const { byteOffset, byteLength } = checkedRange(tensor, range);
  const [from, to] = [byteOffset, byteOffset + byteLength];
  const firstBlock = Math.floor(from / width / block.elements);
  const lastBlock = Math.ceil(to / width / block.elements);
  const step = Math.max(24, chunkBytes - (chunkBytes % 24));
  const wanted = Math.min(NUMBERS_AT_A_TIME, Math.max(24, Math.floor(step / width / 24) * 24));
  const blocksAtATime = Math.max(1, Math.floor(wanted / block.elements));
  await tensor.stream(
    blocksAtATime * block.bytes,
    async (stored, storedAt) => {
      const first = (storedAt / block.bytes) * block.elements;
      const bytes = tensor.convert(stored, first);
      const begin = Math.max(0, from - first * width);
      const end = Math.min(bytes.length, to - first * width);
      for (let at = begin; at < end; at += step)
        await onChunk(bytes.subarray(at, Math.min(at + step, end)), first * width + at);
    },
    { byteOffset: firstBlock * block.bytes, byteLength: (lastBlock - firstBlock) * block.bytes },
  );
}

/** The whole of a range as a new array of the caller's. */
export async function readConverted(tensor: ConvertedTensor, range?: ByteRange): Promise<Uint8Array> {
  const { byteOffset, byteLength } = checkedRange(tensor, range);
  const bytes = new Uint8Array(byteLength);
  const chunkBytes = NUMBERS_AT_A_TIME * SCALED_BYTES[tensor.dtype];
  await streamConverted(tensor, chunkBytes, (chunk, at) => bytes.set(chunk, at - byteOffset), range);
  return bytes;
}

function checkedRange({ name, count, dtype }: ConvertedTensor, range: ByteRange | undefined): ByteRange {
  const width = SCALED_BYTES[dtype];
  const whole = count * width;
  const { byteOffset, byteLength } = range ?? { byteOffset: 0, byteLength: whole };
  if (!(byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= whole)) {
    throw new ShapeError(
      "RANGE_OUTSIDE_TENSOR",
      `bytes ${byteOffset} to ${byteOffset + byteLength} are outside of tensor ${quoted(name)} (${whole} bytes).`,
    );
  }
  if (byteOffset % width !== 0 || byteLength % width !== 0)
    throw new ShapeError(
      "RANGE_SPLITS_ELEMENT",
      `tensor ${quoted(name)} is read in whole elements of ${width} bytes.`,
    );
  return { byteOffset, byteLength };
}

/**
 * Numbers that begin at element `first` of a tensor, as bytes of `dtype`; of F32 a view.
 * @throws WeightsError `UNSUPPORTED_DTYPE` for one that does not fit into F16
 */
export function roundedTo(
  dtype: ScaledDType,
  values: Float32Array,
  first: number,
  { name, file }: { readonly name: string; readonly file: string },
): Uint8Array {
  if (dtype === "F32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const largest = values.findIndex((value) => Math.abs(value) >= 65520 && Number.isFinite(value));
  if (dtype === "F16" && largest >= 0) {
    throw weightsError(
      "UNSUPPORTED_DTYPE",
      `element ${first + largest} of ${quoted(name)} is ${values[largest]}, which does not fit into F16.`,
      { where: file, fix: "Ask for its weights as F32 or BF16." },
    );
  }
  return encodeFloats(values, dtype === "F16" ? "f16" : "bf16");
}
