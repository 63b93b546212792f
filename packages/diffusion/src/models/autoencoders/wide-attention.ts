/**
 * One-head attention as wide as the feature map (384 to 1024 channels), as autoencoders use it: too wide for the
 * flash-attention kernel, and a small part of the work. Scores of a slice of queries exist at a time.
 */
import { type Device, linear, permute, softmaxRows, type Tensor } from "@lvsa/runtime";

/** Queries `queryStart` to `queryEnd` attend to keys `keyStart` to `keyEnd` (exclusive). */
export interface WideAttentionRow {
  readonly queryStart: number;
  readonly queryEnd: number;
  readonly keyStart: number;
  readonly keyEnd: number;
}

/** Bytes of scores held at a time. */
const SCORE_BYTES = 32 * 1024 * 1024;

/** query, key, value `[S, C]`; returns `[S, C]` f32. Every query must be in one of `rows`. */
export function wideAttention(
  device: Device,
  query: Tensor,
  key: Tensor,
  value: Tensor,
  rows: readonly WideAttentionRow[],
): Tensor {
  const width = query.dim(1);
  const out = device.empty([query.dim(0), width]);
  for (const { queryStart, queryEnd, keyStart, keyEnd } of rows) {
    const keys = keyEnd - keyStart;
    const slice = Math.max(1, Math.floor(SCORE_BYTES / (keys * 4)));
    device.scope(() => {
      const transposed = permute(device, value.rows(keyStart, keyEnd), [1, 0]);
      for (let start = queryStart; start < queryEnd; start += slice) {
        const end = Math.min(start + slice, queryEnd);
        device.scope(() => {
          const scores = linear(device, query.rows(start, end), key.rows(keyStart, keyEnd), {
            outDtype: "f32",
          });
          softmaxRows(device, scores, width ** -0.5);
          linear(device, scores, transposed, { out: out.rows(start, end) });
        });
      }
    });
  }
  return out;
}
