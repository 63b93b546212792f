/** The element types of the safetensors format, by their names in the file. */

const BITS = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  U64: 64,
  I64: 64,
  F64: 64,
  C64: 64,
} as const;

export type SafetensorsDType = keyof typeof BITS;

export function isSafetensorsDType(value: unknown): value is SafetensorsDType {
  return typeof value === "string" && Object.hasOwn(BITS, value);
}

export function safetensorsDTypes(): SafetensorsDType[] {
  return Object.keys(BITS) as SafetensorsDType[];
}

/** Bits of one element; less than 8 for types that share bytes. */
export function bitsPerStoredElement(dtype: SafetensorsDType): number {
  return BITS[dtype];
}

/**
 * Bytes of a tensor of this shape, or undefined when that is no whole number of bytes or more than a number
 * counts exactly.
 */
export function storedByteLength(dtype: SafetensorsDType, shape: readonly number[]): number | undefined {
  let count = 1;
  // A zero makes the tensor empty, however large the other dimensions are.
  if (shape.includes(0)) return 0;
  for (const size of shape) {
    count *= size;
    if (count > Number.MAX_SAFE_INTEGER / 64) return undefined;
  }
  const bytes = (count * BITS[dtype]) / 8;
  return Number.isInteger(bytes) ? bytes : undefined;
}
