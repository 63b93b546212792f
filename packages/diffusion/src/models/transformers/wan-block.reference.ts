/** One Wan transformer block in plain loops, float64 sums: slow and obvious, for tests. Source: diffusers `WanTransformerBlock`. */

export interface BlockReference {
  readonly tokens: number;
  readonly textRows: number;
  readonly dim: number;
  readonly heads: number;
  readonly eps: number;
  /** Weights by their names inside the block, as f32 numbers. */
  readonly weight: (name: string) => Float32Array;
  /** Rotary tables `[tokens, headDim / 2]`. */
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/** `[tokens, dim]` after the block. `modulation` is time_proj, `[6, dim]`. */
export function wanBlockReference(
  b: BlockReference,
  hidden: Float32Array,
  modulation: Float32Array,
  text: Float32Array,
): Float64Array {
  const { tokens, dim, weight: w } = b;
  const table = w("scale_shift_table");
  const part = (i: number, c: number) => table[i * dim + c]! + modulation[i * dim + c]!;
  const x = Float64Array.from(hidden);
  const modulated = (first: number) => {
    const y = layerNorm(x, tokens, dim, b.eps);
    return y.map((v, i) => v * (1 + part(first + 1, i % dim)) + part(first, i % dim));
  };
  // 1. Self attention
  const self = attend(b, "attn1", modulated(0), undefined, tokens);
  for (let i = 0; i < x.length; i++) x[i]! += part(2, i % dim) * self[i]!;
  // 2. Cross attention
  const normed = layerNorm(x, tokens, dim, b.eps);
  const [gamma, beta] = [w("norm2.weight"), w("norm2.bias")];
  const queryInput = normed.map((v, i) => v * gamma[i % dim]! + beta[i % dim]!);
  const cross = attend(b, "attn2", queryInput, Float64Array.from(text), b.textRows);
  for (let i = 0; i < x.length; i++) x[i]! += cross[i]!;
  // 3. Feed-forward
  const inner = linear(modulated(3), w("ffn.net.0.proj.weight"), w("ffn.net.0.proj.bias"), dim).map(geluTanh);
  const out = linear(inner, w("ffn.net.2.weight"), w("ffn.net.2.bias"), inner.length / tokens);
  for (let i = 0; i < x.length; i++) x[i]! += part(5, i % dim) * out[i]!;
  return x;
}

function attend(
  b: BlockReference,
  name: string,
  input: Float64Array,
  context: Float64Array | undefined,
  keys: number,
): Float64Array {
  const { tokens, dim, heads, weight: w } = b;
  const headDim = dim / heads;
  const project = (x: Float64Array, layer: string) =>
    linear(x, w(`${name}.${layer}.weight`), w(`${name}.${layer}.bias`), dim);
  const source = context ?? input;
  const q = rmsNorm(project(input, "to_q"), w(`${name}.norm_q.weight`), dim, b.eps);
  const k = rmsNorm(project(source, "to_k"), w(`${name}.norm_k.weight`), dim, b.eps);
  const v = project(source, "to_v");
  if (!context) for (const t of [q, k]) rotate(t, b, headDim);
  const out = new Float64Array(tokens * dim);
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < tokens; i++) {
      const scores = new Float64Array(keys);
      for (let j = 0; j < keys; j++) {
        let dot = 0;
        for (let c = 0; c < headDim; c++)
          dot += q[i * dim + h * headDim + c]! * k[j * dim + h * headDim + c]!;
        scores[j] = dot / Math.sqrt(headDim);
      }
      const largest = scores.reduce((a, s) => Math.max(a, s), Number.NEGATIVE_INFINITY);
      const weights = scores.map((s) => Math.exp(s - largest));
      const total = weights.reduce((a, s) => a + s, 0);
      for (let j = 0; j < keys; j++) {
        const p = weights[j]! / total;
        for (let c = 0; c < headDim; c++)
          out[i * dim + h * headDim + c]! += p * v[j * dim + h * headDim + c]!;
      }
    }
  }
  return linear(out, w(`${name}.to_out.0.weight`), w(`${name}.to_out.0.bias`), dim);
}

function rotate(x: Float64Array, b: BlockReference, headDim: number): void {
  const pairs = headDim / 2;
  for (let i = 0; i < x.length; i += 2) {
    const token = Math.floor(i / b.dim);
    const at = token * pairs + ((i % headDim) >> 1);
    const [even, odd, cos, sin] = [x[i]!, x[i + 1]!, b.cos[at]!, b.sin[at]!];
    x[i] = even * cos - odd * sin;
    x[i + 1] = even * sin + odd * cos;
  }
}

function linear(x: Float64Array, weight: Float32Array, bias: Float32Array, inputs: number): Float64Array {
  const rows = x.length / inputs;
  const outputs = bias.length;
  const y = new Float64Array(rows * outputs);
  for (let o = 0; o < outputs; o++) {
    for (let r = 0; r < rows; r++) {
      let sum = 0;
      for (let c = 0; c < inputs; c++) sum += x[r * inputs + c]! * weight[o * inputs + c]!;
      y[r * outputs + o] = sum + bias[o]!;
    }
  }
  return y;
}

function layerNorm(x: Float64Array, rows: number, dim: number, eps: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let r = 0; r < rows; r++) {
    const row = x.subarray(r * dim, (r + 1) * dim);
    const mean = row.reduce((a, v) => a + v, 0) / dim;
    const variance = row.reduce((a, v) => a + (v - mean) ** 2, 0) / dim;
    for (let c = 0; c < dim; c++) y[r * dim + c] = (row[c]! - mean) / Math.sqrt(variance + eps);
  }
  return y;
}

function rmsNorm(x: Float64Array, weight: Float32Array, dim: number, eps: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let r = 0; r < x.length / dim; r++) {
    const row = x.subarray(r * dim, (r + 1) * dim);
    const scale = 1 / Math.sqrt(row.reduce((a, v) => a + v * v, 0) / dim + eps);
    for (let c = 0; c < dim; c++) y[r * dim + c] = row[c]! * scale * weight[c]!;
  }
  return y;
}

function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}
