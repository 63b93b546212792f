/**
 * One-head attention as wide as the feature map (384 to 1024 channels), as autoencoders use it: too wide for the
 * flash-attention kernel, and a small part of the work. Scores of a slice of queries exist at a time.
 */
import { type Device, linear, permute, slice as sliceOf, softmaxRows, type Tensor } from "@lvsa/runtime";

/** Queries `queryStart` to `queryEnd` attend to keys `keyStart` to `keyEnd` (exclusive). */
export interface WideAttentionRow {
  readonly queryStart: number;
  readonly queryEnd: number;
  readonly keyStart: number;
  readonly keyEnd: number;
}

/** Bytes of scores held at a time, and of values. */
const SCORE_BYTES = 32 * 1024 * 1024;
const VALUE_BYTES = 32 * 1024 * 1024;

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
    for (let start = queryStart; start < queryEnd; start += slice) {
      const end = Math.min(start + slice, queryEnd);
      device.scope(() => {
        const scores = linear(device, query.rows(start, end), key.rows(keyStart, keyEnd), {
          outDtype: "f32",
        });
        softmaxRows(device, scores, width ** -0.5);
        addValues(device, scores, value.rows(keyStart, keyEnd), out.rows(start, end));
      });
    }
  }
  return out;
}

/** `out = scores · values`, over slices of keys: of a long clip, values are transposed a part at a time. */
function addValues(device: Device, scores: Tensor, values: Tensor, out: Tensor): void {
  const keys = values.dim(0);
  const slice = Math.max(1, Math.floor(VALUE_BYTES / (values.dim(1) * 4)));
  for (let start = 0; start < keys; start += slice) {
    const end = Math.min(start + slice, keys);
    device.scope(() => {
      const part = end - start === keys ? scores : sliceOf(device, scores, 1, start, end);
      const transposed = permute(device, values.rows(start, end), [1, 0]);
      linear(device, part, transposed, { out, ...(start > 0 ? { residual: out } : {}) });
    });
  }
}
