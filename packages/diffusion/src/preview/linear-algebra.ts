/** The little that a preview needs: a system of equations, and the main directions of a cloud of points. */

/** Solves `matrix · x = right` by elimination with the largest pivot; a singular matrix gives numbers that are not finite. */
export function solve(matrix: readonly Float64Array[], right: Float64Array): number[] {
  const size = right.length;
  const rows = matrix.map((row, i) => Float64Array.from([...row, right[i]!]));
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column + 1; i < size; i++) {
      if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    }
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = column + 1; i < size; i++) {
      const factor = rows[i]![column]! / rows[column]![column]!;
      for (let j = column; j <= size; j++) rows[i]![j]! -= factor * rows[column]![j]!;
    }
  }
  const x = new Array<number>(size).fill(0);
  for (let i = size - 1; i >= 0; i--) {
    let sum = rows[i]![size]!;
    for (let j = i + 1; j < size; j++) sum -= rows[i]![j]! * x[j]!;
    x[i] = sum / rows[i]![i]!;
  }
  return x;
}

export interface Direction {
  /** Of length 1; its largest component is positive, so that it does not flip from call to call. */
  readonly direction: readonly number[];
  /** Standard deviation of the points along it. */
  readonly deviation: number;
}

/** The first `count` principal directions, by power iteration. */
export function principalDirections(
  points: readonly (readonly number[])[],
  count: number,
): { readonly mean: readonly number[]; readonly directions: readonly Direction[] } {
  const size = points[0]?.length ?? 0;
  const mean = Array.from(
    { length: size },
    (_, c) => points.reduce((sum, p) => sum + p[c]!, 0) / points.length,
  );
  const covariance = Array.from({ length: size }, () => new Float64Array(size));
  for (const point of points) {
    for (let i = 0; i < size; i++) {
      const a = (point[i]! - mean[i]!) / points.length;
      for (let j = 0; j < size; j++) covariance[i]![j]! += a * (point[j]! - mean[j]!);
    }
  }
  const directions: Direction[] = [];
  for (let n = 0; n < count; n++) {
    let vector: number[] = Array.from({ length: size }, (_, i) => (i === n % Math.max(1, size) ? 1 : 0.1));
    let length = 0;
    for (let turn = 0; turn < 50; turn++) {
      const next = covariance.map((row) => row.reduce((sum, value, j) => sum + value * vector[j]!, 0));
      length = Math.hypot(...next);
      if (!(length > 0)) break;
      vector = next.map((value) => value / length);
    }
    const largest = vector.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    const direction = largest < 0 ? vector.map((value) => -value) : vector;
    directions.push({ direction, deviation: Math.sqrt(length) });
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) covariance[i]![j]! -= length * vector[i]! * vector[j]!;
    }
  }
  return { mean, directions };
}
