/** Rounding to the narrower float types, to nearest, ties to even, as PyTorch does after computing in float32. */

export const roundToBfloat16 = (value: number): number => roundSignificand(value, 8, -126);

/** Subnormals included. The value must be within the float16 range. */
export const roundToFloat16 = (value: number): number => roundSignificand(value, 11, -14);

function roundSignificand(value: number, bits: number, minExponent: number): number {
  const single = Math.fround(value);
  const magnitude = Math.abs(single);
  if (magnitude === 0) return single;
  let exponent = Math.floor(Math.log2(magnitude));
  // log2 can round up or down across a power of two.
  if (2 ** exponent > magnitude) exponent -= 1;
  else if (2 ** (exponent + 1) <= magnitude) exponent += 1;
  const unit = 2 ** (Math.max(exponent, minExponent) - bits + 1);
  const scaled = single / unit;
  const lower = Math.floor(scaled);
  const rest = scaled - lower;
  const up = rest > 0.5 || (rest === 0.5 && lower % 2 !== 0);
  return (up ? lower + 1 : lower) * unit;
}
