/** Numbers as people read them. */

/** Bytes in decimal units: `5.68 GB`. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, ["B", "kB", "MB", "GB", "TB"]);
}

/** Floating point operations: `791 TFLOP`. */
export function formatFlops(flops: bigint): string {
  return scaled(Number(flops), ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP"]);
}

/** A count with separators: `1,418,996,800`. */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** A share: `25.0 %`. */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** Three digits that count, with the unit that leaves one to three of them before the point. */
function scaled(value: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value;
  // 999.5 would be written as 1000.
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)} ${units[unit]}`;
}
