/** Elementwise ops in float64, one obvious loop each. */
import type { Activation } from "../../kernel/wgsl.js";

/** Row `floor(r / (rows / G))` of a `[G, C]` table, spread over `count` elements of rows of C. */
export function broadcastReference(table: ArrayLike<number>, count: number, channels: number): number[] {
  const groups = table.length / channels;
  const rows = count / channels;
  return Array.from({ length: count }, (_, i) => {
    const row = Math.floor(i / channels);
    return table[Math.floor(row / (rows / groups)) * channels + (i % channels)]!;
  });
}

/** Error function by its series (small x) or continued fraction (large x), to about 1e-15. */
export function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 3) {
    let term = z;
    let sum = z;
    for (let n = 1; n < 100; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction));
}

export function activationReference(x: number, activation: Activation): number {
  switch (activation) {
    case "silu":
      return x / (1 + Math.exp(-x));
    case "relu":
      return Math.max(x, 0);
    case "relu2":
      return Math.max(x, 0) ** 2;
    case "gelu":
      return 0.5 * x * (1 + erf(x / Math.SQRT2));
    case "gelu_tanh":
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    default:
      return activation satisfies never;
  }
}
