/**
 * `value` with a fixed number of decimals, halves to the even digit as printf and Python do it
 * (`Number.prototype.toFixed` takes halves up).
 */
export function formatFixed(value: number, decimals: number): string {
  // A decimal half is exact in binary only if the value is an odd multiple of 1 / 2^(decimals + 1).
  const isHalf = Math.abs((value * 2 ** (decimals + 1)) % 2) === 1;
  if (!isHalf) return value.toFixed(decimals);
  const scale = 10 ** decimals;
  const below = Math.floor(value * scale);
  return ((below % 2 === 0 ? below : below + 1) / scale).toFixed(decimals);
}
