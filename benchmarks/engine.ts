/** The work that every engine does, and what an engine offers for it. */

/** `y = x w` with x `[M, K]` and w `[K, N]`, all f32. */
export interface MatmulShape {
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** Dense attention of `[1, L, H, D]`, all f32. */
export interface AttentionShape {
  readonly length: number;
  readonly heads: number;
  readonly headDim: number;
}

export interface Workload {
  readonly matmul: MatmulShape;
  readonly attention: AttentionShape;
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly query: Float32Array;
  readonly key: Float32Array;
  readonly value: Float32Array;
}

/** One run of the work, done when the promise is; gives the result where asked. */
export interface EngineTask {
  run(): Promise<void>;
  result(): Promise<Float32Array>;
}

export interface Engine {
  readonly name: string;
  /** How its attention is made, for the reader of the table. */
  readonly attentionNote: string;
  /** Whether a run also copies inputs to the adapter and the result back. */
  readonly copies: boolean;
  readonly matmul?: EngineTask;
  readonly attention?: EngineTask;
  dispose(): Promise<void>;
}

/** Random numbers in [-1, 1): scores of about unit size, so that every key counts. */
export function createWorkload(matmul: MatmulShape, attention: AttentionShape): Workload {
  const size = attention.length * attention.heads * attention.headDim;
  return {
    matmul,
    attention,
    x: noise(matmul.m * matmul.k, 1),
    w: noise(matmul.k * matmul.n, 2),
    query: noise(size, 3),
    key: noise(size, 4),
    value: noise(size, 5),
  };
}

function noise(count: number, seed: number): Float32Array {
  const out = new Float32Array(count);
  let state = seed;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = state / 2147483648 - 1;
  }
  return out;
}
