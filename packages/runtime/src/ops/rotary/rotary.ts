/** Rotary position embedding. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, withRows } from "../row-chunks.js";
import { type RotaryStyle, rotaryKernel } from "./rotary.wgsl.js";

export interface RotaryOptions {
  /** `interleaved`: pairs of channels (2i, 2i + 1). `half`: pairs (i, i + dims/2). */
  readonly style: RotaryStyle;
  /** First token that is rotated, with table row 0. Default 0. */
  readonly start?: number;
  /** End (exclusive) of the rotated tokens. Default S. */
  readonly end?: number;
  /** Rotate only the first `dims` channels of each head. Default D. */
  readonly dims?: number;
}

/**
 * Rotates `x` `[B, S, H, D]` in place. `cos` and `sin` are `[S', dims/2]` with S' >= end - start; token s of every
 * batch entry uses table row s - start, tokens outside of start..end are left as they are.
 * @throws ShapeError when a table is too small
 */
export function rotary(device: Device, x: Tensor, cos: Tensor, sin: Tensor, options: RotaryOptions): void {
  assertShape(x.shape.length === 4, `rotary: expected [B, S, H, D], got ${formatShape(x.shape)}`);
  const [batch, tokens, heads, dim] = x.shape as [number, number, number, number];
  const { style, start = 0, end = tokens, dims = dim } = options;
  assertShape(
    dim % 2 === 0 && dims % 2 === 0 && dims <= dim,
    `rotary: ${dims} of ${dim} channels can not be rotated in pairs`,
  );
  assertShape(
    start >= 0 && start <= end && end <= tokens,
    `rotary: tokens ${start}..${end} are outside of 0..${tokens}`,
  );
  for (const [name, table] of [["cos", cos] as const, ["sin", sin] as const]) {
    assertShape(
      table.shape.at(-1) === dims / 2 && table.size >= (end - start) * (dims / 2),
      `rotary: ${name} ${formatShape(table.shape)} is not [at least ${end - start}, ${dims / 2}]`,
    );
  }
  assertShape(cos.dtype === sin.dtype, `rotary: cos is ${cos.dtype}, sin is ${sin.dtype}`);
  if (end === start || dims === 0 || batch === 0) return;
  const vector = dim % 4 === 0 && dims % (style === "half" ? 8 : 4) === 0;
  const kernel = rotaryKernel({
    style,
    x: floatDType("rotary", x),
    table: floatDType("rotary", cos),
    vector,
  });
  const perHead = vector ? dims / (style === "half" ? 8 : 4) : 1;
  const rows = batch * tokens;
  const tableRows = cos.size / (dims / 2);
  const parts = rowChunks(device, end - start, [(dims / 2) * bytesPerElement(cos.dtype)]);
  for (const part of parts) {
    // Tables are split where one alone is too large; a whole one may have more rows than are used.
    const table = parts.length === 1 ? { start: 0, end: tableRows } : part;
    for (const chunk of rowChunks(device, rows, [heads * dim * bytesPerElement(x.dtype)])) {
      withRows([x], rows, chunk, ([view]) => {
        withRows([cos], tableRows, table, ([cosines]) => {
          withRows([sin], sin.size / (dims / 2), table, ([sines]) => {
            const count = chunk.end - chunk.start;
            const tokensOf = { tokens, start: start + part.start, end: start + part.end };
            device.dispatch({
              kernel,
              tensors: [cosines!, sines!, view!],
              params: { rows: count, heads, dim, rotated: dims, first_row: chunk.start, ...tokensOf },
              workgroups: Math.ceil((count * heads * perHead) / FLAT_WORKGROUP),
            });
          });
        });
      });
    }
  }
}
