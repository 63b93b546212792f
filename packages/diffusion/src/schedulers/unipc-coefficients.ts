/** Coefficients of UniP and UniC of any order. */
import type { MixedLevel } from "./clean-sample.js";

export interface UnipcCoefficients {
  readonly sample: number;
  /** For the clean predictions, that of the starting level first. */
  readonly x0: readonly number[];
}

type SolverType = "bh1" | "bh2";

const lambda = ({ signal, noise }: MixedLevel): number => Math.log(signal) - Math.log(noise);

/**
 * From level `levels[0]` to `target`. `levels` are the noise levels whose clean predictions are used,
 * newest first; their number is the order. At a `target` without noise the log-SNR is infinite and the result is x0.
 */
export function unipcPredictor(
  target: MixedLevel,
  levels: readonly MixedLevel[],
  type: SolverType,
): UnipcCoefficients {
  const order = levels.length;
  const { alpha, noiseRatio, phi, base, ratios, system, right } = prepare(target, levels, type);
  const rho =
    order === 1
      ? []
      : order === 2
        ? [0.5]
        : solve(
            system.slice(0, -1).map((row) => row.slice(0, -1)),
            right.slice(0, -1),
          );
  return { sample: noiseRatio, x0: differences(-alpha * phi, -alpha * base, rho, ratios) };
}

/** The same for the corrector, which also uses the clean prediction at `target` itself (`newest`). */
export function unipcCorrector(
  target: MixedLevel,
  levels: readonly MixedLevel[],
  type: SolverType,
): UnipcCoefficients & { readonly newest: number } {
  const order = levels.length;
  const { alpha, noiseRatio, phi, base, ratios, system, right } = prepare(target, levels, type);
  const rho = order === 1 ? [0.5] : solve(system, right);
  const newest = -alpha * base * rho[order - 1]!;
  const x0 = differences(-alpha * phi, -alpha * base, rho.slice(0, -1), ratios);
  return { sample: noiseRatio, newest, x0: [x0[0]! - newest, ...x0.slice(1)] };
}

/** `first * m0 + scale * sum_k rho_k (m_k - m0) / r_k`, as factors of m0, m1, ... */
function differences(
  first: number,
  scale: number,
  rho: readonly number[],
  ratios: readonly number[],
): number[] {
  const factors = rho.map((value, k) => (scale * value) / ratios[k]!);
  return [factors.reduce((sum, factor) => sum - factor, first), ...factors];
}

function prepare(target: MixedLevel, levels: readonly MixedLevel[], type: SolverType) {
  const start = lambda(levels[0]!);
  const h = lambda(target) - start;
  const phi = Math.expm1(-h);
  const base = type === "bh1" ? -h : phi;
  const ratios = levels.slice(1).map((level) => (lambda(level) - start) / h);
  const nodes = [...ratios, 1];
  const system: number[][] = [];
  const right: number[] = [];
  let phiK = phi / -h - 1;
  let factorial = 1;
  for (let i = 1; i <= levels.length; i++) {
    system.push(nodes.map((node) => node ** (i - 1)));
    right.push((phiK * factorial) / base);
    factorial *= i + 1;
    phiK = phiK / -h - 1 / factorial;
  }
  return {
    alpha: target.signal,
    noiseRatio: target.noise / levels[0]!.noise,
    phi,
    base,
    ratios,
    system,
    right,
  };
}

/** Gaussian elimination with partial pivoting; the systems have at most four rows. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  const size = rows.length;
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column + 1; i < size; i++)
      if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let i = column + 1; i < size; i++) {
      const factor = rows[i]![column]! / rows[column]![column]!;
      for (let j = column; j <= size; j++) rows[i]![j]! -= factor * rows[column]![j]!;
    }
  }
  const solution: number[] = new Array(size).fill(0);
  for (let i = size - 1; i >= 0; i--) {
    let value = rows[i]![size]!;
    for (let j = i + 1; j < size; j++) value -= rows[i]![j]! * solution[j]!;
    solution[i] = value / rows[i]![i]!;
  }
  return solution;
}
