/** Moving elements by their coordinates, one at a time. */

function coordinates(index: number, shape: readonly number[]): number[] {
  const at = shape.map(() => 0);
  let rest = index;
  for (let d = shape.length - 1; d >= 0; d--) {
    at[d] = rest % shape[d]!;
    rest = Math.floor(rest / shape[d]!);
  }
  return at;
}

function linear(at: readonly number[], shape: readonly number[]): number {
  return at.reduce((index, n, d) => index * shape[d]! + n, 0);
}

/** The elements of an output of `shape`, each fetched from where `source` says. */
function gather<T>(shape: readonly number[], source: (at: number[]) => T): T[] {
  const count = shape.reduce((a, b) => a * b, 1);
  return Array.from({ length: count }, (_, i) => source(coordinates(i, shape)));
}

type Values = ArrayLike<number>;

export function permuteReference(x: Values, shape: readonly number[], axes: readonly number[]): number[] {
  return gather(
    axes.map((d) => shape[d]!),
    (at) => {
      const from = shape.map((_, d) => at[axes.indexOf(d)]!);
      return x[linear(from, shape)]!;
    },
  );
}

export function sliceReference(
  x: Values,
  shape: readonly number[],
  axis: number,
  start: number,
  end: number,
): number[] {
  return gather(shape.with(axis, end - start), (at) => x[linear(at.with(axis, at[axis]! + start), shape)]!);
}

export function concatReference(
  parts: readonly { values: Values; shape: readonly number[] }[],
  axis: number,
): number[] {
  const total = parts.reduce((sum, p) => sum + p.shape[axis]!, 0);
  return gather(parts[0]!.shape.with(axis, total), (at) => {
    let position = at[axis]!;
    for (const { values, shape } of parts) {
      if (position < shape[axis]!) return values[linear(at.with(axis, position), shape)]!;
      position -= shape[axis]!;
    }
    return Number.NaN;
  });
}

export function repeatInterleaveReference(
  x: Values,
  shape: readonly number[],
  axis: number,
  times: number,
): number[] {
  return gather(
    shape.with(axis, shape[axis]! * times),
    (at) => x[linear(at.with(axis, Math.floor(at[axis]! / times)), shape)]!,
  );
}
