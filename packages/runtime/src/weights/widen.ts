/** Stored bytes to typed arrays, for tensors that are small enough to be held on the CPU. */
import { quoted } from "../printable.js";
import { decodeFloats } from "../tensor/dtype.js";
import { weightsError } from "./header.js";
import { codeValues } from "./quantized/codes.js";
import type { SafetensorsDType } from "./safetensors-dtype.js";

export type WidenedData = Float32Array | Int32Array | Uint8Array;

/**
 * Floats become `Float32Array` (F64 is rounded, the others are exact), signed and wider integers `Int32Array`,
 * U8 and BOOL `Uint8Array`. The result never shares memory with `bytes`.
 * @throws WeightsError `UNSUPPORTED_DTYPE`; also for integers that do not fit in 32 bits
 */
export function widen(bytes: Uint8Array, dtype: SafetensorsDType, name: string): WidenedData {
  // Not `slice()`: that of a Node `Buffer` shares memory.
  const copy = new Uint8Array(bytes);
  const buffer = copy.buffer;
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return decodeFloats(copy, "f16");
    case "BF16":
      return decodeFloats(copy, "bf16");
    case "F8_E4M3":
    case "F8_E5M2":
    case "F8_E4M3FNUZ":
    case "F8_E5M2FNUZ": {
      const values = codeValues(dtype);
      return Float32Array.from(copy, (code) => values[code]!);
    }
    case "F64":
      return Float32Array.from(new Float64Array(buffer));
    case "I32":
      return new Int32Array(buffer);
    case "I16":
      return Int32Array.from(new Int16Array(buffer));
    case "U16":
      return Int32Array.from(new Uint16Array(buffer));
    case "I8":
      return Int32Array.from(new Int8Array(buffer));
    case "I64":
      return narrow(new BigInt64Array(buffer), name, dtype);
    case "U64":
      return narrow(new BigUint64Array(buffer), name, dtype);
    case "U32":
      return narrow(new Uint32Array(buffer), name, dtype);
    case "U8":
    case "BOOL":
      return copy;
    default:
      throw weightsError(
        "UNSUPPORTED_DTYPE",
        `tensor ${quoted(name)} is stored as ${dtype}, which is not widened here.`,
        {
          fix: "Convert the tensor to F32, F16 or BF16.",
        },
      );
  }
}

function narrow(
  values: BigInt64Array | BigUint64Array | Uint32Array,
  name: string,
  dtype: string,
): Int32Array {
  const out = new Int32Array(values.length);
  for (let i = 0; i < out.length; i++) {
    const value = Number(values[i]);
    if (value !== (value | 0)) {
      throw weightsError(
        "UNSUPPORTED_DTYPE",
        `element ${i} of tensor ${quoted(name)} (${dtype}) is ${value}, which does not fit in 32 bits.`,
      );
    }
    out[i] = value;
  }
  return out;
}
