/**
 * Weights from their file to GPU memory, piece by piece: neither the heap nor the driver's staging memory ever
 * holds a whole large tensor. Floats stay as they lie in the file; shaders widen them.
 */

import type { Device } from "../device/device.js";
import { ShapeError, throwIfAborted } from "../errors.js";
import { quoted } from "../printable.js";
import type { DType } from "../tensor/dtype.js";
import { elementCount, formatShape, type Shape } from "../tensor/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { weightsError } from "./header.js";
import { namingTensor } from "./naming-tensor.js";
import { float8AsBfloat16 } from "./quantized/codes.js";
import { bitsPerStoredElement, type SafetensorsDType } from "./safetensors-dtype.js";
import { expectTensor } from "./safetensors-weights.js";
import { STREAM_CHUNK_BYTES, type WeightSource } from "./weight-source.js";
import { widen } from "./widen.js";

export interface UploadOptions {
  /** The shape the model expects; another one in the file is `WRONG_SHAPE`. */
  readonly shape?: Shape;
  /** Only entries `start` to `end` (exclusive) of the first dimension. */
  readonly rows?: { readonly start: number; readonly end: number };
  /** Whether it lives until it is disposed (default), or belongs to the device's innermost scope. */
  readonly pinned?: boolean;
  /** Name of the GPU buffer, for debuggers. Default: the tensor's name. */
  readonly label?: string;
  /**
   * Memory to write to instead of a new tensor, of the shape and type that are asked for. It stays what the caller made
   * it: after an error it is not freed.
   */
  readonly allocate?: (shape: Shape, dtype: DType, label: string) => Tensor;
  /** Bytes read and written at a time. Default 16 MiB. */
  readonly chunkBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * The storage type on the GPU: as stored for F32, F16, BF16, I32, U32, U8 and BOOL; the others are converted on the
 * way: F64 to f32 (rounded), 8-bit floats to bf16 (exact, without any scale: see `plainWeights`), other integers to i32 (exact or an error).
 * @throws WeightsError `UNSUPPORTED_DTYPE`
 */
export function uploadedDType(dtype: SafetensorsDType, name = "tensor"): DType {
  switch (dtype) {
    case "F32":
    case "F64":
      return "f32";
    case "F16":
      return "f16";
    case "BF16":
    case "F8_E4M3":
    case "F8_E5M2":
    case "F8_E4M3FNUZ":
    case "F8_E5M2FNUZ":
      return "bf16";
    case "U32":
      return "u32";
    case "I8":
    case "I16":
    case "U16":
    case "I32":
    case "I64":
    case "U64":
      return "i32";
    case "U8":
    case "BOOL":
      return "u8";
    default:
      throw weightsError(
        "UNSUPPORTED_DTYPE",
        `${quoted(name)} is stored as ${dtype}, which can not be used on the GPU.`,
        {
          fix: "Convert the checkpoint to F32, F16 or BF16.",
        },
      );
  }
}

/**
 * Streams one tensor to a new GPU tensor of the same shape. Ordered after all recorded work. Errors name tensor and file.
 * @throws WeightsError `MISSING_TENSOR`, `WRONG_SHAPE`, `UNSUPPORTED_DTYPE`, `TRUNCATED`, `READ_FAILED`;
 *   `DeviceError` when the device can not hold it; `AbortError`
 */
export function uploadTensor(
  device: Device,
  source: WeightSource,
  name: string,
  options: UploadOptions = {},
): Promise<Tensor> {
  return namingTensor(source, name, () => upload(device, source, name, options));
}

/**
 * Streams a matrix to the GPU as it is quantized in the file: a tensor `[N, K]` of a packed type, for `linear` alone.
 * Undefined where the source has no such form of it: see `WeightSource.packed`.
 * @throws as `uploadTensor`
 */
export async function uploadPacked(
  device: Device,
  source: WeightSource,
  name: string,
  options: Pick<UploadOptions, "pinned" | "label" | "chunkBytes" | "signal" | "allocate"> = {},
): Promise<Tensor | undefined> {
  return namingTensor(source, name, () => upPacked(device, source, name, options));
}

async function upPacked(
  device: Device,
  source: WeightSource,
  name: string,
  options: Pick<UploadOptions, "pinned" | "label" | "chunkBytes" | "signal" | "allocate">,
): Promise<Tensor | undefined> {
  const packed = source.packed?.(name);
  if (!packed) return undefined;
  const { shape } = source.info(name);
  const { label = name, pinned = true, signal, chunkBytes = STREAM_CHUNK_BYTES } = options;
  throwIfAborted(signal, `loading ${quoted(name)}`);
  const tensor =
    options.allocate?.(shape, packed.dtype, label) ?? device.empty(shape, packed.dtype, { label, pinned });
  try {
    await packed.stream(chunkBytes, async (chunk, at) => {
      throwIfAborted(signal, `loading ${quoted(name)}`);
      device.writeBytes(tensor, chunk, at);
      await device.boundStaging();
    });
    return tensor;
  } catch (error) {
    if (!options.allocate) tensor.dispose();
    throw error;
  }
}

export interface UploadManyOptions {
  /** Hears the stored bytes uploaded so far and in all, after each tensor. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Uploads tensors as pinned ones, one after the other, by name. They belong to the caller; after a failure none is
 * left.
 * @throws as `uploadTensor`
 */
export async function uploadTensors(
  device: Device,
  source: WeightSource,
  names: readonly string[],
  options: UploadManyOptions = {},
): Promise<Map<string, Tensor>> {
  const total = names.reduce((sum, name) => sum + source.info(name).byteLength, 0);
  const tensors = new Map<string, Tensor>();
  let done = 0;
  try {
    for (const name of names) {
      const one = await uploadTensor(device, source, name, options.signal ? { signal: options.signal } : {});
      tensors.get(name)?.dispose();
      tensors.set(name, one);
      done += source.info(name).byteLength;
      options.onProgress?.(done, total);
    }
    return tensors;
  } catch (error) {
    for (const tensor of tensors.values()) tensor.dispose();
    throw error;
  }
}

async function upload(
  device: Device,
  source: WeightSource,
  name: string,
  options: UploadOptions,
): Promise<Tensor> {
  const info = options.shape ? expectTensor(source, name, options.shape) : source.info(name);
  const dtype = uploadedDType(info.dtype, name);
  const { shape, range } = selectRows(name, info.shape, info.dtype, options.rows);
  throwIfAborted(options.signal, `loading ${quoted(name)}`);
  const { label = name, pinned = true } = options;
  const tensor = options.allocate?.(shape, dtype, label) ?? device.empty(shape, dtype, { label, pinned });
  try {
    let written = 0;
    // Multiples of 48 hold whole elements of every type and, converted or not, whole 4-byte words.
    const wanted = options.chunkBytes ?? STREAM_CHUNK_BYTES;
    const chunkBytes = Math.max(48, wanted - (wanted % 48));
    await source.stream(
      name,
      chunkBytes,
      async (chunk) => {
        throwIfAborted(options.signal, `loading ${quoted(name)}`);
        const bytes = toUploaded(chunk, info.dtype, name);
        device.writeBytes(tensor, bytes, written);
        written += bytes.length;
        await device.boundStaging();
      },
      range,
    );
    return tensor;
  } catch (error) {
    if (!options.allocate) tensor.dispose();
    throw error;
  }
}

function selectRows(name: string, shape: Shape, dtype: SafetensorsDType, rows: UploadOptions["rows"]) {
  const bytesOf = (part: Shape) => (elementCount(part) * bitsPerStoredElement(dtype)) / 8;
  if (!rows) return { shape, range: { byteOffset: 0, byteLength: bytesOf(shape) } };
  const [count, ...rest] = shape;
  const { start, end } = rows;
  if (count === undefined || !(start >= 0 && end >= start && end <= count)) {
    throw new ShapeError(
      "RANGE_OUTSIDE_TENSOR",
      `rows ${start} to ${end} are outside of ${quoted(name)} ${formatShape(shape)}.`,
    );
  }
  const selected = [end - start, ...rest];
  return { shape: selected, range: { byteOffset: start * bytesOf(rest), byteLength: bytesOf(selected) } };
}

/** The bytes that go to the GPU for a piece of a file. */
function toUploaded(chunk: Uint8Array, dtype: SafetensorsDType, name: string): Uint8Array {
  switch (dtype) {
    case "F32":
    case "F16":
    case "BF16":
    case "I32":
    case "U32":
    case "U8":
    case "BOOL":
      return chunk;
    case "F8_E4M3":
    case "F8_E5M2":
    case "F8_E4M3FNUZ":
    case "F8_E5M2FNUZ": {
      const table = float8AsBfloat16(dtype);
      const out = new Uint16Array(chunk.length);
      for (let i = 0; i < chunk.length; i++) out[i] = table[chunk[i]!]!;
      return new Uint8Array(out.buffer);
    }
    default: {
      const data = widen(chunk, dtype, name);
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    }
  }
}
