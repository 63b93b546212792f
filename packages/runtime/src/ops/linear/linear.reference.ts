/** `linear` in float64, slow and obvious. */
import type { Activation } from "../../kernel/wgsl.js";

export interface LinearReferenceInput {
  /** `[M, K]` */
  readonly x: ArrayLike<number>;
  /** `[N, K]` */
  readonly weight: ArrayLike<number>;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly bias?: ArrayLike<number> | undefined;
  readonly activation?: Activation | undefined;
  readonly multiply?: ArrayLike<number> | undefined;
  /** `[G, N]` */
  readonly gate?: ArrayLike<number> | undefined;
  readonly residual?: ArrayLike<number> | undefined;
}

/** The whole output `[M, N]`, or only `rows` of it, in their order. */
export function linearReference(input: LinearReferenceInput, rows?: readonly number[]): Float64Array {
  const { x, weight, M, N, K, bias, activation, multiply, gate, residual } = input;
  const wanted = rows ?? Array.from({ length: M }, (_, m) => m);
  const out = new Float64Array(wanted.length * N);
  const rowsPerGate = gate ? M / (gate.length / N) : 1;
  wanted.forEach((m, i) => {
    for (let n = 0; n < N; n++) {
      let y = 0;
      for (let k = 0; k < K; k++) y += x[m * K + k]! * weight[n * K + k]!;
      if (bias) y += bias[n]!;
      if (activation) y = activate(y, activation);
      if (multiply) y *= multiply[m * N + n]!;
      if (gate) y *= gate[Math.floor(m / rowsPerGate) * N + n]!;
      if (residual) y += residual[m * N + n]!;
      out[i * N + n] = y;
    }
  });
  return out;
}

export function activate(v: number, activation: Activation): number {
  switch (activation) {
    case "silu":
      return v / (1 + Math.exp(-v));
    case "relu":
      return Math.max(v, 0);
    case "relu2":
      return Math.max(v, 0) ** 2;
    case "gelu_tanh":
      return 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
    case "gelu":
      return 0.5 * v * erfc(-v / Math.SQRT2);
    default:
      return activation satisfies never;
  }
}

/** Complementary error function: its series near 0, its continued fraction elsewhere. Good to about 1e-15. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-18; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let n = 120; n > 0; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction));
}
