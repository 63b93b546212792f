/** Shapes are plain numbers, row-major, checked at run time. */
import { assertShape } from "../errors.js";

export type Shape = readonly number[];

/** Number of elements; 1 for a scalar `[]`. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const n of shape) count *= n;
  return count;
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

export function checkShape(shape: Shape): void {
  for (const n of shape) {
    assertShape(
      Number.isSafeInteger(n) && n >= 0,
      `shape ${formatShape(shape)} has a dimension that is no size`,
    );
  }
}
