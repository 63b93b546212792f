/** Writes the safetensors format, for latents files and for test data. */
import { ConfigError } from "../errors.js";
import { encodeFloats } from "../tensor/dtype.js";
import { formatShape, type Shape } from "../tensor/shape.js";
import { HEADER_PREFIX_BYTES } from "./header.js";
import { bitsPerStoredElement, type SafetensorsDType, storedByteLength } from "./safetensors-dtype.js";

export interface TensorToWrite {
  readonly dtype: SafetensorsDType;
  readonly shape: Shape;
  /** The stored bytes in any typed array; or `Float32Array` for F16 and BF16, rounded half to even. */
  readonly data: ArrayBufferView;
}

export interface SafetensorsLayout {
  /** The file up to its data. */
  readonly header: Uint8Array;
  /** Where each tensor's bytes go, in the order of the file. */
  readonly tensors: ReadonlyMap<string, { readonly byteOffset: number; readonly byteLength: number }>;
  /** Of the whole file. */
  readonly byteLength: number;
}

/**
 * The header of a file with these tensors, and the places of their data. Tensors lie by falling element size, then by
 * name, so that each is aligned to its elements, as the original writer does it.
 * @throws ConfigError `BAD_TENSOR` for sizes that make no whole bytes, and for a name that the format keeps for itself
 */
export function layOutSafetensors(
  tensors: Readonly<Record<string, Pick<TensorToWrite, "dtype" | "shape">>>,
  metadata?: Readonly<Record<string, string>>,
): SafetensorsLayout {
  const sorted = Object.entries(tensors).sort(
    ([nameA, a], [nameB, b]) =>
      bitsPerStoredElement(b.dtype) - bitsPerStoredElement(a.dtype) || (nameA < nameB ? -1 : 1),
  );
  // Text by text, because an object would treat a tensor called "__proto__" specially.
  const fields = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  const places: [string, { byteOffset: number; byteLength: number }][] = [];
  let end = 0;
  for (const [name, { dtype, shape }] of sorted) {
    const byteLength = storedByteLength(dtype, shape);
    if (byteLength === undefined || name === "__metadata__")
      throw badTensor(name, { dtype, shape }, byteLength);
    const entry = { dtype, shape, data_offsets: [end, end + byteLength] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    places.push([name, { byteOffset: end, byteLength }]);
    end += byteLength;
  }
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  // Spaces after the JSON put the first tensor on a multiple of 8.
  const dataOffset = HEADER_PREFIX_BYTES + Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(dataOffset);
  new DataView(header.buffer).setBigUint64(0, BigInt(dataOffset - HEADER_PREFIX_BYTES), true);
  header.fill(0x20, HEADER_PREFIX_BYTES);
  header.set(json, HEADER_PREFIX_BYTES);
  return {
    header,
    tensors: new Map(
      places.map(([name, place]) => [name, { ...place, byteOffset: dataOffset + place.byteOffset }]),
    ),
    byteLength: dataOffset + end,
  };
}

/** A whole safetensors file. @throws ConfigError `BAD_TENSOR` when data and shape do not fit */
export function encodeSafetensors(
  tensors: Readonly<Record<string, TensorToWrite>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const parts = new Map(Object.entries(tensors).map(([name, tensor]) => [name, storedBytes(name, tensor)]));
  const layout = layOutSafetensors(tensors, metadata);
  const file = new Uint8Array(layout.byteLength);
  file.set(layout.header);
  for (const [name, { byteOffset }] of layout.tensors) file.set(parts.get(name)!, byteOffset);
  return file;
}

function storedBytes(name: string, tensor: TensorToWrite): Uint8Array {
  const { dtype, shape, data } = tensor;
  const bytes =
    data instanceof Float32Array && (dtype === "F16" || dtype === "BF16")
      ? encodeFloats(data, dtype === "F16" ? "f16" : "bf16")
      : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const expected = storedByteLength(dtype, shape);
  if (name !== "__metadata__" && bytes.length === expected) return bytes;
  throw badTensor(name, tensor, bytes.length);
}

function badTensor(
  name: string,
  { dtype, shape }: Pick<TensorToWrite, "dtype" | "shape">,
  given: number | undefined,
): ConfigError {
  return new ConfigError(
    "BAD_TENSOR",
    name === "__metadata__"
      ? 'the name "__metadata__" is kept for the file itself.'
      : `tensor "${name}" (${dtype}, ${formatShape(shape)}) takes ${storedByteLength(dtype, shape)} bytes, ${given} were given.`,
  );
}
