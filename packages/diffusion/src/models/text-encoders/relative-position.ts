/** T5's relative position bias. Source: transformers `T5Attention._relative_position_bucket` (bidirectional). */

/** Bucket of `memory position − query position`. */
export function relativePositionBucket(relative: number, buckets: number, maxDistance: number): number {
  const half = buckets / 2;
  const offset = relative > 0 ? half : 0;
  const distance = Math.abs(relative);
  const exact = half / 2;
  if (distance < exact) return offset + distance;
  // float32, as the original computes it: at powers the rounding decides the bucket.
  const ratio = Math.fround(
    Math.fround(Math.log(Math.fround(distance / exact))) / Math.fround(Math.log(maxDistance / exact)),
  );
  const large = exact + Math.trunc(Math.fround(ratio * (half - exact)));
  return offset + Math.min(large, half - 1);
}

/**
 * Bias per head and distance, `[heads, 2·length − 1]`: entry `[h][d + length − 1]` belongs to keys `d` positions
 * after the query.
 * @param table relative_attention_bias, `[buckets, heads]`
 */
export function relativeBias(
  table: Float32Array,
  heads: number,
  length: number,
  buckets: number,
  maxDistance: number,
): Float32Array {
  const width = 2 * length - 1;
  const out = new Float32Array(heads * width);
  for (let i = 0; i < width; i++) {
    const bucket = relativePositionBucket(i - (length - 1), buckets, maxDistance);
    for (let h = 0; h < heads; h++) out[h * width + i] = table[bucket * heads + h]!;
  }
  return out;
}
