/** RMS, L2 and layer norm over the last axis. Sums are f32 whatever is stored. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import type { Activation } from "../../kernel/wgsl.js";
import { bytesPerElement, type FloatDType } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, withRows } from "../row-chunks.js";
import {
  ROW_NORM_TABLES,
  type RowNormKind,
  type RowNormShape,
  type RowNormTable,
  rowNormThreads,
} from "./row-norm.wgsl.js";
import { rowNormFamily } from "./row-norm-family.js";

export interface RmsNormOptions {
  /** `[C]`, multiplied after normalising. */
  readonly weight?: Tensor | undefined;
  /** `[C]`, added after the weight. */
  readonly bias?: Tensor | undefined;
  readonly eps: number;
  /** `rms` (default): x / sqrt(mean(x^2) + eps). `l2`: x / max(||x||, eps) * sqrt(C). */
  readonly mode?: "rms" | "l2";
  readonly activation?: Activation | undefined;
  /** Write over `x` and return it. */
  readonly inPlace?: boolean;
  /** Stored type of a new output. Default: that of `x`. */
  readonly outDtype?: FloatDType | undefined;
  /** For tests: this rule of the family `row-norm` instead of the first that fits. */
  readonly rule?: string;
}

/**
 * RMS norm (or L2 norm) of the last axis of `x` `[..., C]`. For a norm per head reshape to `[..., H, D]` first.
 * @throws ShapeError when weight or bias is not `[C]`
 */
export function rmsNorm(device: Device, x: Tensor, options: RmsNormOptions): Tensor {
  return run(device, options.mode ?? "rms", x, options);
}

export interface LayerNormOptions {
  /** `[C]` */
  readonly weight?: Tensor | undefined;
  /** `[C]` */
  readonly bias?: Tensor | undefined;
  readonly eps: number;
  /** `[G, C]`: the result is multiplied by 1 + scale; row r of `x` uses row floor(r / (rows / G)). */
  readonly scale?: Tensor | undefined;
  /** `[G, C]`, added last, grouped as `scale`. */
  readonly shift?: Tensor | undefined;
  readonly activation?: Activation | undefined;
  readonly inPlace?: boolean;
  /** Stored type of a new output. Default: that of `x`. */
  readonly outDtype?: FloatDType | undefined;
  /** For tests: this rule of the family `row-norm` instead of the first that fits. */
  readonly rule?: string;
}

/**
 * Layer norm of the last axis of `x` `[..., C]` with optional adaptive modulation. Mean and variance are computed in
 * two passes, so large means keep their precision.
 * @throws ShapeError when a table does not fit `x`
 */
export function layerNorm(device: Device, x: Tensor, options: LayerNormOptions): Tensor {
  return run(device, "layer", x, options);
}

type Options = { readonly [name in RowNormTable]?: Tensor | undefined } & {
  readonly eps: number;
  readonly activation?: Activation | undefined;
  readonly inPlace?: boolean;
  readonly outDtype?: FloatDType | undefined;
  readonly rule?: string;
};

function run(device: Device, kind: RowNormKind, x: Tensor, options: Options): Tensor {
  const op = kind === "layer" ? "layerNorm" : "rmsNorm";
  const channels = x.dim(-1);
  const rows = x.size / channels;
  const inPlace = options.inPlace ?? false;
  const xType = floatDType(op, x);
  const yType = inPlace ? xType : (options.outDtype ?? xType);
  const tables: { [name in RowNormTable]?: FloatDType } = {};
  for (const name of ROW_NORM_TABLES) {
    const table = options[name];
    if (!table) continue;
    tables[name] = floatDType(op, table);
    checkTable(op, name, table, x, channels, rows);
  }
  const groups = (options.scale ?? options.shift)?.size ?? channels;
  assertShape(
    !options.scale || !options.shift || options.scale.size === options.shift.size,
    `${op}: scale ${formatShape(options.scale?.shape ?? [])} and shift ${formatShape(options.shift?.shape ?? [])} differ`,
  );
  // In place, elements of one row would be overwritten while other threads still sum it.
  const direct = inPlace && channels % 4 === 0;
  const y = direct ? x : device.empty(x.shape, yType);
  if (x.size > 0) {
    const { activation, rule } = options;
    const shape: RowNormShape = { kind, x: xType, y: yType, tables, activation, inPlace: direct };
    const { variant } = device.choose(rowNormFamily, shape, { rows, channels }, rule);
    const kernel = rowNormFamily.kernel(shape, variant);
    const { threads, perRow } = rowNormThreads(variant);
    const walked = direct ? [y] : [x, y];
    const bytes = walked.map((t) => channels * bytesPerElement(t.dtype));
    const given = ROW_NORM_TABLES.map((name) => options[name]).filter((t) => t !== undefined);
    for (const chunk of rowChunks(device, rows, bytes)) {
      withRows(walked, rows, chunk, (views) => {
        const count = chunk.end - chunk.start;
        const needed = perRow === 0 ? Math.ceil((count * channels) / 4) : count * perRow;
        device.dispatch({
          kernel,
          tensors: [...views.slice(0, -1), ...given, views.at(-1)!],
          params: {
            rows: count,
            channels,
            first_row: chunk.start,
            rows_per_group: rows / (groups / channels),
            eps: options.eps,
          },
          workgroups: Math.ceil(needed / threads),
        });
      });
    }
  }
  if (!inPlace || direct) return y;
  device.copyBytes(y, x);
  y.dispose();
  return x;
}

function checkTable(
  op: string,
  name: RowNormTable,
  table: Tensor,
  x: Tensor,
  channels: number,
  rows: number,
): void {
  const grouped = name === "scale" || name === "shift";
  const groups = table.size / channels;
  assertShape(
    table.shape.at(-1) === channels && (grouped ? rows % groups === 0 : groups === 1),
    `${op}: ${name} ${formatShape(table.shape)} does not fit x ${formatShape(x.shape)}`,
    grouped ? `Give [G, ${channels}] where G divides the rows.` : `Give [${channels}].`,
  );
}
