/** Storage types of tensors. Storage and compute are separate: shaders widen f16 and bf16 to f32 on load. */

/** `u8` is for output frames only; `bf16` is stored as in the checkpoint and widened exactly in the shader. */
export type DType = "f32" | "f16" | "bf16" | "i32" | "u32" | "u8" | PackedDType;

/**
 * Weights of linear layers that stay quantized in memory, in blocks of whole words along their rows; `linear` widens them
 * as it reads them. Layouts: `weights/packed/packed-blocks.ts`.
 */
export type PackedDType = "q8_0" | "q4_0" | "q4_k" | "q5_k" | "q6_k" | "f8_e4m3" | "f8_e5m2";

/** What of a packed type is stored together. */
export interface PackedBlock {
  readonly elements: number;
  /** 32-bit words. */
  readonly words: number;
}

const PACKED: Readonly<Record<PackedDType, PackedBlock>> = {
  q8_0: { elements: 64, words: 17 },
  q4_0: { elements: 64, words: 9 },
  q4_k: { elements: 256, words: 36 },
  q5_k: { elements: 256, words: 44 },
  q6_k: { elements: 256, words: 53 },
  f8_e4m3: { elements: 64, words: 17 },
  f8_e5m2: { elements: 64, words: 17 },
};

export function isPackedDType(dtype: DType): dtype is PackedDType {
  return Object.hasOwn(PACKED, dtype);
}

export function packedBlock(dtype: PackedDType): PackedBlock {
  return PACKED[dtype];
}

/** Types that hold activations and weights. */
export type FloatDType = "f32" | "f16" | "bf16";

/** Of packed types a fraction; exact times whole blocks. */
export function bytesPerElement(dtype: DType): number {
  if (isPackedDType(dtype)) return (4 * PACKED[dtype].words) / PACKED[dtype].elements;
  switch (dtype) {
    case "f32":
    case "i32":
    case "u32":
      return 4;
    case "f16":
    case "bf16":
      return 2;
    case "u8":
      return 1;
    default:
      return dtype satisfies never;
  }
}

export function isFloatDType(dtype: DType): dtype is FloatDType {
  return dtype === "f32" || dtype === "f16" || dtype === "bf16";
}

/** IEEE half precision to number, exact. */
export function float16ToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Number to IEEE half precision bits, round half to even. */
export function numberToFloat16(value: number): number {
  return narrowToFloat16(new Uint32Array(new Float32Array([value]).buffer)[0]!);
}

/** The same from the bits of an f32: no memory per number. */
function narrowToFloat16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (fraction ? 0x200 : 0);
  const half = exponent - 112;
  if (half >= 31) return sign | 0x7c00;
  if (half <= 0) {
    if (half < -10) return sign;
    const full = fraction | 0x800000;
    const shift = 14 - half;
    const rounded = full >>> shift;
    const rest = full & ((1 << shift) - 1);
    const middle = 1 << (shift - 1);
    return sign | (rounded + (rest > middle || (rest === middle && rounded & 1) ? 1 : 0));
  }
  const rounded = (half << 10) | (fraction >>> 13);
  const rest = fraction & 0x1fff;
  return sign | (rounded + (rest > 0x1000 || (rest === 0x1000 && rounded & 1) ? 1 : 0));
}

/** Widens stored bytes to numbers; `bytes` holds `count` elements of `dtype`. */
export function decodeFloats(bytes: Uint8Array, dtype: FloatDType): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  if (dtype === "f32")
    return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 2).slice();
  const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 1);
  const out = new Float32Array(halves.length);
  if (dtype === "bf16") {
    const words = new Uint32Array(out.buffer);
    for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  } else {
    for (let i = 0; i < halves.length; i++) out[i] = float16ToNumber(halves[i]!);
  }
  return out;
}

/** Narrows numbers to stored bytes, round half to even. */
export function encodeFloats(values: ArrayLike<number>, dtype: FloatDType): Uint8Array {
  const f32 = values instanceof Float32Array ? values : Float32Array.from(values);
  if (dtype === "f32") return new Uint8Array(f32.buffer, f32.byteOffset, f32.byteLength);
  const out = new Uint16Array(f32.length);
  const words = new Uint32Array(f32.buffer, f32.byteOffset, f32.length);
  if (dtype === "f16") {
    for (let i = 0; i < words.length; i++) out[i] = narrowToFloat16(words[i]!);
  } else {
    for (let i = 0; i < words.length; i++) {
      const w = words[i]!;
      const notANumber = (w & 0x7fffffff) > 0x7f800000;
      out[i] = notANumber ? (w >>> 16) | 0x40 : (w + 0x7fff + ((w >>> 16) & 1)) >>> 16;
    }
  }
  return new Uint8Array(out.buffer);
}
