/** Norm of queries or keys and their rotary embedding in one pass over memory. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rotary } from "../rotary/rotary.js";
import type { RotaryStyle } from "../rotary/rotary.wgsl.js";
import { rowChunks, withRows } from "../row-chunks.js";
import type { NormRotaryShape } from "./norm-rotary.wgsl.js";
import { normRotaryFamily } from "./norm-rotary-family.js";
import { layerNorm, rmsNorm } from "./row-norm.js";
import { rowNormThreads } from "./row-norm.wgsl.js";

export interface NormRotaryOptions {
  /** `rms`: x / sqrt(mean(x^2) + eps); `layer`: mean and variance. */
  readonly kind: "rms" | "layer";
  /** What is normalised together: each head by itself, or all heads of a token. */
  readonly over: "head" | "token";
  /** `[D]` or, over a token, `[H * D]`. */
  readonly weight?: Tensor | undefined;
  /** Shaped as the weight; added after it. */
  readonly bias?: Tensor | undefined;
  readonly eps: number;
  /** `[at least S, D / 2]`: token s of every batch entry uses row s. */
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly style: RotaryStyle;
  /** For tests: this rule of the family `norm-rotary` instead of the first that fits. */
  readonly rule?: string;
}

/**
 * Normalises `x` `[B, S, H, D]` and rotates all its channels, in place; between the two nothing is rounded. Head sizes that are
 * no multiple of 8, and tables beyond the binding limit, take two passes.
 * @throws ShapeError when weight, bias or tables do not fit `x`
 */
export function normRotary(device: Device, x: Tensor, options: NormRotaryOptions): void {
  assertShape(x.shape.length === 4, `normRotary: expected [B, S, H, D], got ${formatShape(x.shape)}`);
  const [, tokens, heads, dim] = x.shape as [number, number, number, number];
  const { kind, over, weight, bias, eps, cos, sin, style, rule } = options;
  const channels = over === "head" ? dim : heads * dim;
  for (const [name, table] of [["weight", weight] as const, ["bias", bias] as const]) {
    assertShape(
      !table || table.size === channels,
      `normRotary: ${name} ${formatShape(table?.shape ?? [])} is not [${channels}]`,
    );
  }
  for (const [name, table] of [["cos", cos] as const, ["sin", sin] as const]) {
    assertShape(
      table.shape.at(-1) === dim / 2 && table.size >= (tokens * dim) / 2,
      `normRotary: ${name} ${formatShape(table.shape)} is not [at least ${tokens}, ${dim / 2}]`,
    );
  }
  assertShape(cos.dtype === sin.dtype, `normRotary: cos is ${cos.dtype}, sin is ${sin.dtype}`);
  if (x.size === 0) return;
  const limit = device.info.limits.maxStorageBufferBindingSize;
  const fits = [cos, sin].every((table) => table.byteLength <= limit);
  if (dim % 8 !== 0 || !fits) {
    const flat = x.reshape([x.size / channels, channels]);
    const given = { weight, bias, eps, inPlace: true };
    if (kind === "rms") rmsNorm(device, flat, given);
    else layerNorm(device, flat, given);
    flat.dispose();
    rotary(device, x, cos, sin, { style });
    return;
  }
  const shape: NormRotaryShape = {
    kind,
    style,
    x: floatDType("normRotary", x),
    ...(weight ? { weight: floatDType("normRotary", weight) } : {}),
    ...(bias ? { bias: floatDType("normRotary", bias) } : {}),
    table: floatDType("normRotary", cos),
  };
  const rows = x.size / channels;
  const { variant } = device.choose(normRotaryFamily, shape, { rows, channels }, rule);
  const kernel = normRotaryFamily.kernel(shape, variant);
  const { threads, perRow } = rowNormThreads(variant);
  const given = [weight, bias].filter((table) => table !== undefined);
  for (const chunk of rowChunks(device, rows, [channels * bytesPerElement(x.dtype)])) {
    withRows([x], rows, chunk, ([view]) => {
      const count = chunk.end - chunk.start;
      device.dispatch({
        kernel,
        tensors: [...given, cos, sin, view!],
        params: {
          rows: count,
          channels,
          dim,
          first_row: chunk.start,
          rows_per_token: over === "head" ? heads : 1,
          tokens,
          eps,
        },
        workgroups: Math.ceil((count * perRow) / threads),
      });
    });
  }
}
