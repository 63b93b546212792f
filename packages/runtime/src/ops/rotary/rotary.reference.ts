/** Rotary embedding in float64: each pair of channels is a complex number times cos + i sin. */
export interface RotaryReferenceOptions {
  readonly shape: readonly [number, number, number, number];
  readonly style: "interleaved" | "half";
  readonly start: number;
  readonly end: number;
  readonly dims: number;
}

export function rotaryReference(
  x: ArrayLike<number>,
  cos: ArrayLike<number>,
  sin: ArrayLike<number>,
  options: RotaryReferenceOptions,
): number[] {
  const [batch, tokens, heads, dim] = options.shape;
  const y = Array.from(x);
  const pairs = options.dims / 2;
  for (let b = 0; b < batch; b++) {
    for (let s = options.start; s < options.end; s++) {
      for (let h = 0; h < heads; h++) {
        const base = ((b * tokens + s) * heads + h) * dim;
        for (let j = 0; j < pairs; j++) {
          const first = base + (options.style === "interleaved" ? 2 * j : j);
          const second = options.style === "interleaved" ? first + 1 : first + pairs;
          const c = cos[(s - options.start) * pairs + j]!;
          const n = sin[(s - options.start) * pairs + j]!;
          y[first] = x[first]! * c - x[second]! * n;
          y[second] = x[second]! * c + x[first]! * n;
        }
      }
    }
  }
  return y;
}
