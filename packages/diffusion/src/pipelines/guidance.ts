/** Classifier-free guidance: which steps predict with the negative prompt too, and what becomes of both. */

export interface Guidance {
  /** Whether any step takes a negative prediction. */
  readonly isOn: boolean;
  isOnAt(index: number, count: number): boolean;
  /** `negative` is undefined in steps without guidance. */
  combine(
    positive: Float32Array,
    negative: Float32Array | undefined,
    step: { readonly index: number; readonly timestep: number },
  ): Float32Array;
}

/** Guidance in every step or in none, with a scale that may depend on the step. */
export function scaledGuidance(
  isOn: boolean,
  scaleAt: (step: { readonly index: number; readonly timestep: number }) => number,
): Guidance {
  return {
    isOn,
    isOnAt: () => isOn,
    combine: (positive, negative, step) => (negative ? guide(positive, negative, scaleAt(step)) : positive),
  };
}

/** `negative + scale * (positive − negative)`, element by element in f32. */
export function guide(positive: Float32Array, negative: Float32Array, scale: number): Float32Array {
  const out = new Float32Array(positive.length);
  for (let i = 0; i < out.length; i++) {
    const n = negative[i]!;
    out[i] = n + Math.fround(scale * Math.fround(positive[i]! - n));
  }
  return out;
}
