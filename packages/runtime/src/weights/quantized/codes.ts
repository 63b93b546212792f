/** The numbers behind 8-bit codes: floats of all four layouts, and signed integers. */
import type { SafetensorsDType } from "../safetensors-dtype.js";

/** Types whose 256 codes stand for numbers, with or without a scale beside them. */
export type CodeDType = "F8_E4M3" | "F8_E5M2" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" | "I8";

export function isCodeDType(dtype: SafetensorsDType): dtype is CodeDType {
  return dtype.startsWith("F8_E4M3") || dtype.startsWith("F8_E5M2") || dtype === "I8";
}

/**
 * The value of each of the 256 codes, exact. E4M3 is the variant without infinities, whose largest value is 448;
 * the FNUZ types have no negative zero (that code is NaN) and a bias one larger.
 */
export function codeValues(dtype: CodeDType): Float32Array {
  const values = new Float32Array(256);
  if (dtype === "I8") return values.map((_, bits) => (bits < 128 ? bits : bits - 256));
  const exponentBits = dtype.startsWith("F8_E4M3") ? 4 : 5;
  const unsignedZero = dtype.endsWith("FNUZ");
  const bias = 2 ** (exponentBits - 1) - (unsignedZero ? 0 : 1);
  const fractionBits = 7 - exponentBits;
  for (let bits = 0; bits < 256; bits++) {
    const exponent = (bits & 0x7f) >> fractionBits;
    const fraction = (bits & ((1 << fractionBits) - 1)) / (1 << fractionBits);
    const sign = bits & 0x80 ? -1 : 1;
    values[bits] =
      sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
    if (dtype === "F8_E4M3" && (bits & 0x7f) === 0x7f) values[bits] = Number.NaN;
    if (dtype === "F8_E5M2" && exponent === 31)
      values[bits] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    if (unsignedZero && bits === 0x80) values[bits] = Number.NaN;
  }
  return values;
}

/** bf16 bits of all 256 8-bit floats: every one of them fits exactly. */
export function float8AsBfloat16(dtype: Exclude<CodeDType, "I8">): Uint16Array {
  const words = new Uint32Array(codeValues(dtype).buffer);
  return Uint16Array.from(words, (word) => word >>> 16);
}
