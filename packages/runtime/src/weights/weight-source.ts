/** What loaders read tensors from, whatever holds them. */
import type { FloatDType, PackedDType } from "../tensor/dtype.js";
import type { Shape } from "../tensor/shape.js";
import type { GgmlQuantization } from "./gguf/ggml-types.js";
import type { SafetensorsDType } from "./safetensors-dtype.js";

/** Size of the buffer that tensors stream through: large enough for full disk speed. */
export const STREAM_CHUNK_BYTES = 16 * 1024 * 1024;

/** How a file may hold a tensor: numbers, codes, or blocks of quantized numbers. */
export type StoredType = SafetensorsDType | GgmlQuantization;

export interface TensorInfo {
  readonly dtype: SafetensorsDType;
  readonly shape: Shape;
  /** Bytes that reading gives. */
  readonly byteLength: number;
  /** Name of the file that holds it. */
  readonly file: string;
  /** How the file holds it, where that is converted on reading: codes with or without scales, blocks. */
  readonly stored?: { readonly dtype: StoredType; readonly byteLength: number };
}

/** A part of a tensor's stored bytes. */
export interface ByteRange {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Hears the bytes of a tensor in order. `chunk` is reused: its contents are gone when the callback is done. */
export type OnChunk = (chunk: Uint8Array, byteOffset: number) => void | Promise<void>;

/** A matrix as the GPU keeps it while it stays quantized. */
export interface PackedTensor {
  readonly dtype: PackedDType;
  readonly byteLength: number;
  /** Hands its packed blocks to `onChunk` in order, in pieces of whole blocks of about `chunkBytes`. */
  stream(chunkBytes: number, onChunk: OnChunk): Promise<void>;
}

/** What is added to rows of a tensor, seen as a matrix: numbers, or a product of two factors. All of it is f32. */
export type MatrixChange = { readonly firstRow: number; readonly rows: number } & (
  | {
      /** `[rows, columns]` */
      readonly values: Float32Array;
    }
  | {
      /** `[rows, rank]` times `[rank, columns]`. */
      readonly up: Float32Array;
      readonly down: Float32Array;
      readonly rank: number;
    }
);

/** A tensor as it is before changes are added to it, and the changes. */
export interface MergedTensor {
  /** Of the result, which `info` describes. */
  readonly dtype: FloatDType;
  readonly base: WeightSource;
  /** There. */
  readonly name: string;
  /** Reads what is added. */
  changes(): Promise<readonly MatrixChange[]>;
}

export interface WeightSource {
  /** In the order of the files. */
  names(): string[];
  has(name: string): boolean;
  /** @throws WeightsError `MISSING_TENSOR` */
  info(name: string): TensorInfo;
  /**
   * Stored bytes (little endian, row-major) as a new array of the caller's, all of them or a part.
   * @throws WeightsError `MISSING_TENSOR`, `TRUNCATED`, `READ_FAILED`, `TOO_LARGE`
   */
  read(name: string, range?: ByteRange): Promise<Uint8Array>;
  /**
   * Hands the stored bytes to `onChunk` in pieces of at most `chunkBytes` (whole elements; see
   * `STREAM_CHUNK_BYTES`), without ever holding the whole tensor. `byteOffset` counts from the tensor's start.
   */
  stream(name: string, chunkBytes: number, onChunk: OnChunk, range?: ByteRange): Promise<void>;
  /**
   * The same tensor for `linear`, quantized as the file has it; undefined where it is not, or where its blocks do not
   * divide its rows. A source that changes numbers has no such form of them.
   * @throws WeightsError `MISSING_TENSOR`
   */
  packed?(name: string): PackedTensor | undefined;
  /**
   * The same tensor in parts that a GPU adds up far faster than `read` and `stream` do; undefined where it is stored as it
   * is read.
   * @throws WeightsError `MISSING_TENSOR`
   */
  merged?(name: string): MergedTensor | undefined;
  /** Stored bytes of all tensors. */
  readonly totalBytes: number;
  /** Elements of all tensors. */
  readonly parameterCount: number;
  /** `__metadata__` of the files, merged. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The tensors whose names start with `prefix`, under the rest of their names. Closing it closes nothing. */
  withPrefix(prefix: string): WeightSource;
  close(): Promise<void>;
}
