/** Attention from its definition, in float64 on the processor: slow, obvious, for tests. */
import type { AttentionRow } from "./attention-layout.js";

export interface ReferenceAttention {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly query: ArrayLike<number>;
  readonly key: ArrayLike<number>;
  readonly value: ArrayLike<number>;
  readonly context?: {
    readonly length: number;
    readonly key: ArrayLike<number>;
    readonly value: ArrayLike<number>;
  };
  readonly rows?: readonly AttentionRow[];
  readonly scale?: number;
  readonly causal?: boolean;
  /** Whether batch entry `b` sees key `k`. */
  readonly sees?: (b: number, k: number) => boolean;
  /** `[H, Lq + Lk - 1]` */
  readonly relativeBias?: ArrayLike<number>;
}

export interface ReferenceResult {
  /** `[B, Lq, H, D]`; queries outside of every row are NaN. */
  readonly output: Float64Array;
  /** `[B, Lq, H]`, natural logarithm; -1e30 where nothing is attended. */
  readonly logSumExp: Float64Array;
}

export function attentionReference(a: ReferenceAttention): ReferenceResult {
  const { batch, queries, keys, heads, kvHeads, headDim, context } = a;
  const rows = a.rows ?? [{ queryStart: 0, queryEnd: queries, ranges: [[0, keys] as const] }];
  const scale = a.scale ?? 1 / Math.sqrt(headDim);
  const output = new Float64Array(batch * queries * heads * headDim).fill(Number.NaN);
  const logSumExp = new Float64Array(batch * queries * heads).fill(Number.NaN);
  for (let b = 0; b < batch; b++) {
    for (const row of rows) {
      for (let q = row.queryStart; q < row.queryEnd; q++) {
        for (let h = 0; h < heads; h++) {
          const kvHead = Math.floor(h / (heads / kvHeads));
          const queryAt = ((b * queries + q) * heads + h) * headDim;
          const terms: { score: number; value: ArrayLike<number>; at: number }[] = [];
          const attend = (key: ArrayLike<number>, value: ArrayLike<number>, token: number, bias: number) => {
            const at = (token * kvHeads + kvHead) * headDim;
            let dot = 0;
            for (let d = 0; d < headDim; d++) dot += a.query[queryAt + d]! * key[at + d]!;
            terms.push({ score: dot * scale + bias, value, at });
          };
          for (const [start, end] of row.ranges) {
            for (let k = start; k < end; k++) {
              if (a.causal && k > q) continue;
              if (a.sees && !a.sees(b, k)) continue;
              const bias = a.relativeBias?.[h * (queries + keys - 1) + k - q + queries - 1] ?? 0;
              attend(a.key, a.value, b * keys + k, bias);
            }
          }
          if (context) {
            const end = Math.min(row.contextEnd ?? context.length, context.length);
            for (let k = 0; k < end; k++) attend(context.key, context.value, b * context.length + k, 0);
          }
          const top = terms.reduce((max, t) => Math.max(max, t.score), Number.NEGATIVE_INFINITY);
          const sum = terms.reduce((total, t) => total + Math.exp(t.score - top), 0);
          logSumExp[(b * queries + q) * heads + h] = terms.length > 0 ? top + Math.log(sum) : -1e30;
          for (let d = 0; d < headDim; d++) {
            let total = 0;
            for (const t of terms) total += (Math.exp(t.score - top) / sum) * t.value[t.at + d]!;
            output[queryAt + d] = total;
          }
        }
      }
    }
  }
  return { output, logSumExp };
}
