/** Numbers of JavaScript and the bytes that tensors store them as. */
import { ShapeError } from "../errors.js";
import { type DType, decodeFloats, encodeFloats, isFloatDType, isPackedDType } from "../tensor/dtype.js";
import { packedRead } from "./device-errors.js";

export type Numbers = Float32Array | Int32Array | Uint32Array | Uint8Array | readonly number[];

type FloatsDType = "f32" | "f16" | "bf16" | "u8";
type IntegersDType = "i32" | "u32" | "u8";

/** Numbers as a tensor of `dtype` stores them. @throws ShapeError for packed types */
export function storedBytes(data: Numbers, dtype: DType): Uint8Array {
  if (isFloatDType(dtype)) return encodeFloats(data, dtype);
  if (isPackedDType(dtype)) throw packedRead(dtype);
  if (dtype === "u8") return data instanceof Uint8Array ? data : Uint8Array.from(data);
  const typed = dtype === "i32" ? Int32Array.from(data) : Uint32Array.from(data);
  return new Uint8Array(typed.buffer);
}

/** @throws ShapeError for types whose values an f32 does not hold, and for packed ones */
export function checkFloats(dtype: DType): asserts dtype is FloatsDType {
  if (dtype === "i32" || dtype === "u32") {
    throw new ShapeError("DTYPE_MISMATCH", `read gives f32, which does not hold every ${dtype}`, {
      fix: "Use readIntegers.",
    });
  }
  if (isPackedDType(dtype)) throw packedRead(dtype);
}

/** @throws ShapeError for floats and packed types */
export function checkIntegers(dtype: DType): asserts dtype is IntegersDType {
  if (isFloatDType(dtype)) {
    throw new ShapeError("DTYPE_MISMATCH", `readIntegers: the tensor is ${dtype}`, { fix: "Use read." });
  }
  if (isPackedDType(dtype)) throw packedRead(dtype);
}

export function floatsOf(bytes: Uint8Array, dtype: FloatsDType): Float32Array {
  return dtype === "u8" ? Float32Array.from(bytes) : decodeFloats(bytes, dtype);
}

/** `bytes` begins its buffer. */
export function integersOf(
  bytes: Uint8Array,
  dtype: IntegersDType,
  size: number,
): Int32Array | Uint32Array | Uint8Array {
  switch (dtype) {
    case "i32":
      return new Int32Array(bytes.buffer, 0, size);
    case "u32":
      return new Uint32Array(bytes.buffer, 0, size);
    case "u8":
      return bytes;
    default:
      return dtype satisfies never;
  }
}
