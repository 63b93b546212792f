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

/**
 * A whole safetensors file. Tensors lie by falling element size, then by name, so that each is aligned to its
 * elements, as the original writer does it.
 * @throws ConfigError `BAD_TENSOR` when data and shape do not fit
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, TensorToWrite>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  const sorted = Object.entries(tensors).sort(
    ([nameA, a], [nameB, b]) =>
      bitsPerStoredElement(b.dtype) - bitsPerStoredElement(a.dtype) || (nameA < nameB ? -1 : 1),
  );
  // Text by text, because an object would treat a tensor called "__proto__" specially.
  const fields = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const [name, tensor] of sorted) {
    const bytes = storedBytes(name, tensor);
    const { dtype, shape } = tensor;
    const entry = { dtype, shape, data_offsets: [end, end + bytes.length] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    parts.push(bytes);
    end += bytes.length;
  }
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  // Spaces after the JSON put the first tensor on a multiple of 8.
  const dataOffset = HEADER_PREFIX_BYTES + Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(dataOffset + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(dataOffset - HEADER_PREFIX_BYTES), true);
  file.fill(0x20, HEADER_PREFIX_BYTES, dataOffset);
  file.set(json, HEADER_PREFIX_BYTES);
  let position = dataOffset;
  for (const part of parts) {
    file.set(part, position);
    position += part.length;
  }
  return file;
}

function storedBytes(name: string, { dtype, shape, data }: TensorToWrite): Uint8Array {
  const bytes =
    data instanceof Float32Array && (dtype === "F16" || dtype === "BF16")
      ? encodeFloats(data, dtype === "F16" ? "f16" : "bf16")
      : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const expected = storedByteLength(dtype, shape);
  if (name !== "__metadata__" && bytes.length === expected) return bytes;
  throw new ConfigError(
    "BAD_TENSOR",
    name === "__metadata__"
      ? 'the name "__metadata__" is kept for the file itself.'
      : `tensor "${name}" (${dtype}, ${formatShape(shape)}) takes ${expected} bytes, ${bytes.length} were given.`,
  );
}
