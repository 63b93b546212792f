/** Linear layer: a matrix product with everything that usually follows it fused into its single store. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { defineKernel } from "../../kernel/kernel.js";
import { type Activation, PACK_BF16, pack2 } from "../../kernel/wgsl.js";
import { flatMain } from "../../kernel/wgsl-threads.js";
import { bytesPerElement, type FloatDType, isPackedDType } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { cast } from "../elementwise/elementwise.js";
import { floatDType, weightDType } from "../float-dtype.js";
import { productOf } from "../matrix/matrix-tile.wgsl.js";
import { type RowRange, splitRows } from "../row-chunks.js";
import type { LinearShaderShape } from "./linear.wgsl.js";
import { linearFamily } from "./linear-family.js";
import { type LinearVariant, outputTile } from "./linear-variant.js";
import { widenPacked } from "./widen-packed.js";

export interface LinearOptions {
  /** `[N]` */
  readonly bias?: Tensor | undefined;
  readonly activation?: Activation | undefined;
  /** `[..., N]`, multiplied in after the activation (gated feed-forward layers). */
  readonly multiply?: Tensor | undefined;
  /** `[G, N]`: row r of x is scaled by gate row `floor(r / (rows / G))`. */
  readonly gate?: Tensor | undefined;
  /** `[..., N]`, added last. May be `out` itself: then `out` is updated in place. */
  readonly residual?: Tensor | undefined;
  /** `[..., N]` to write to instead of a new tensor. Must not overlap x or the weight. */
  readonly out?: Tensor | undefined;
  /** Default: the dtype of `out`, else of x. */
  readonly outDtype?: FloatDType | undefined;
  /** Values of x may be beyond what f16 holds (65,504), as after UMT5's gated layers: nothing rounds them to f16. */
  readonly wideX?: boolean | undefined;
  /** For tests and tuning. */
  readonly tuning?: LinearTuning | undefined;
}

export interface LinearTuning {
  /** This rule of the family `linear` instead of the first that fits. */
  readonly rule?: string;
  /** This kernel instead of the rule's. */
  readonly variant?: LinearVariant;
  /** Pretend that bindings are no larger than this many bytes. */
  readonly maxBindingBytes?: number;
  /** Most operations of one dispatch. */
  readonly dispatchFlops?: number;
}

/** As for attention: a screen that is drawn by the same GPU waits for a dispatch, and drivers end one that takes seconds. */
const DISPATCH_FLOPS = 2.5e11;
/** Devices with f16 matrices of 16x16x16 make 100 TFLOP/s or more of it. */
const MATRIX_DISPATCH_FLOPS = 5e12;

/**
 * `y = residual + gate * (activation(x W^T + bias) * multiply)`, summed in f32, rounded once.
 *
 * x `[..., K]`, weight `[N, K]` as checkpoints store it; both f32, f16 or bf16, the weight also of a packed type (see
 * `uploadPacked`), which is widened as it is read. Returns `[..., N]`, new or `out`.
 * Weights and activations beyond the device's binding limit are worked on in parts, and so are rows that would keep the GPU
 * busy for long.
 * @throws ShapeError when shapes do not fit together
 */
export function linear(device: Device, x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias, multiply, gate, tuning = {} } = options;
  const K = x.dim(-1);
  const N = weight.dim(0);
  const M = K === 0 ? 0 : x.size / K;
  const shape = [...x.shape.slice(0, -1), N];
  check(x, weight, options);
  const outDtype =
    options.outDtype ??
    (options.out ? floatDType("linear", options.out, "out") : floatDType("linear", x, "x"));
  const out = options.out ?? device.empty(shape, outDtype);
  if (M === 0 || N === 0) return out;
  const inPlace = options.residual !== undefined && sameMemory(options.residual, out);
  const residual = inPlace ? undefined : options.residual;

  const direct: LinearShaderShape = {
    x: floatDType("linear", x, "x"),
    weight: weightDType("linear", weight),
    alignedK: K % 4 === 0,
    alignedN: N % 4 === 0,
    out: outDtype,
    ...(bias ? { bias: floatDType("linear", bias, "bias") } : {}),
    ...(options.activation ? { activation: options.activation } : {}),
    ...(multiply ? { multiply: floatDType("linear", multiply, "multiply") } : {}),
    ...(gate ? { gate: floatDType("linear", gate, "gate") } : {}),
    ...(inPlace ? { residual: "in_place" as const } : {}),
    ...(residual ? { residual: floatDType("linear", residual, "residual") } : {}),
  };
  const size = { M, N, K, ...(options.wideX ? { wideX: true } : {}) };
  const variant = tuning.variant ?? device.choose(linearFamily, direct, size, tuning.rule).variant;
  if (variant.kind === "matrix" && productOf(variant).component === "f16") {
    const rounded = roundedOperands(device, x, weight);
    if (rounded.made.length > 0) {
      const { x: left, weight: right } = rounded;
      linear(device, left, right, { ...options, out, outDtype: undefined, tuning: { ...tuning, variant } });
      for (const tensor of rounded.made) tensor.dispose();
      return out;
    }
  }

  const { limits } = device.info;
  const limit = Math.min(
    tuning.maxBindingBytes ?? Number.POSITIVE_INFINITY,
    limits.maxStorageBufferBindingSize,
  );
  const alignment = limits.minStorageBufferOffsetAlignment;
  // Rows of a two-byte output with an odd N share words: sum into f32 and pack afterwards.
  const packed = outDtype !== "f32" && N % 2 === 1 ? outDtype : undefined;
  const byRow = [x, multiply, residual, out].filter((t) => t !== undefined);
  const rowBytes = byRow.map((t) => (t.size / M) * bytesPerElement(t.dtype));
  if (packed) rowBytes.push(N * 4);
  const tile = outputTile(variant);
  const dispatchFlops =
    tuning.dispatchFlops ??
    (variant.kind === "matrix" && productOf(variant).m === 16 ? MATRIX_DISPATCH_FLOPS : DISPATCH_FLOPS);
  // Whole tiles, so that none is computed twice.
  const shortRows = Math.max(1, Math.floor(dispatchFlops / (2 * N * K * tile.rows))) * tile.rows;
  const rowRanges = splitRows(M, rowBytes, limit, alignment, packed ? 2 : 1, shortRows);
  const columnRanges = splitRows(
    N,
    [K * bytesPerElement(weight.dtype)],
    limit,
    alignment,
    N % 4 === 0 ? 4 : N % 2 === 0 ? 2 : 1,
  );

  assertShape(variant.kind !== "gemv" || M <= tile.rows, `linear: ${M} rows for a kernel of ${tile.rows}`);
  const kernel = linearFamily.kernel(
    packed ? { ...direct, out: "f32", ...(inPlace ? { residual: outDtype } : {}) } : direct,
    variant,
  );

  const parts: Tensor[] = [];
  const part = (tensor: Tensor, rows: RowRange): Tensor => {
    if (rows.end - rows.start === tensor.shape[0] && tensor.shape.length === 2) return tensor;
    const flat = tensor.reshape([tensor.size / lastDim(tensor), lastDim(tensor)]);
    const view = flat.rows(rows.start, rows.end);
    parts.push(flat, view);
    return view;
  };
  for (const rows of rowRanges) {
    const target = part(out, rows);
    const written = packed ? device.empty([rows.end - rows.start, N]) : target;
    for (const columns of columnRanges) {
      const tensors = [part(x, rows), part(weight, columns)];
      if (bias) tensors.push(bias);
      if (multiply) tensors.push(part(multiply, rows));
      if (gate) tensors.push(gate);
      if (residual) tensors.push(part(residual, rows));
      else if (inPlace && packed) tensors.push(target);
      tensors.push(written);
      const params = {
        m: rows.end - rows.start,
        n: N,
        k: K,
        column_start: columns.start,
        column_end: columns.end,
        first_row: rows.start,
        gate_rows: gate ? M / gate.dim(0) : 1,
      };
      const workgroups =
        Math.ceil(params.m / tile.rows) * Math.ceil((columns.end - columns.start) / tile.columns);
      const cost = (2 * params.m * (columns.end - columns.start) * K) / dispatchFlops;
      device.dispatch({ kernel, tensors, params, workgroups, cost });
    }
    if (packed) {
      pack(device, written, target, packed);
      written.dispose();
    }
  }
  for (const view of parts) view.dispose();
  return out;
}

/** From this many rows of the other operand on, rounding an operand first is cheaper than for every tile that reads it. */
const ROUND_FIRST = 256;

function roundedOperands(device: Device, x: Tensor, weight: Tensor) {
  const made: Tensor[] = [];
  const rounded = (t: Tensor, readers: number) => {
    const isPacked = isPackedDType(t.dtype);
    if (!isPacked && (t.dtype === "f16" || readers < ROUND_FIRST)) return t;
    const half = isPacked ? widenPacked(device, t, "f16") : cast(device, t, "f16");
    made.push(half);
    return half;
  };
  const rows = x.size / weight.dim(1);
  return { x: rounded(x, weight.dim(0)), weight: rounded(weight, rows), made };
}

function check(x: Tensor, weight: Tensor, o: LinearOptions): void {
  assertShape(
    weight.shape.length === 2,
    `linear: the weight is ${formatShape(weight.shape)}, expected [N, K]`,
  );
  const [N, K] = [weight.dim(0), weight.dim(1)];
  assertShape(
    x.dim(-1) === K && K > 0,
    `linear: x is ${formatShape(x.shape)}, the weight ${formatShape(weight.shape)} needs ${K} values per row`,
  );
  const rows = x.size / K;
  const fits = (t: Tensor | undefined, name: string) =>
    assertShape(
      !t || (t.dim(-1) === N && t.size === rows * N),
      `linear: ${name} is ${formatShape(t?.shape ?? [])}, expected ${rows} rows of ${N}`,
    );
  fits(o.multiply, "multiply");
  fits(o.residual, "residual");
  fits(o.out, "out");
  assertShape(
    !o.bias || o.bias.size === N,
    `linear: bias is ${formatShape(o.bias?.shape ?? [])}, expected [${N}]`,
  );
  assertShape(
    !o.gate || (o.gate.shape.length === 2 && o.gate.dim(1) === N && rows % Math.max(1, o.gate.dim(0)) === 0),
    `linear: gate is ${formatShape(o.gate?.shape ?? [])}, expected [G, ${N}] where G divides ${rows} rows`,
  );
  assertShape(
    !o.out || !o.outDtype || o.out.dtype === o.outDtype,
    `linear: out is ${o.out?.dtype}, outDtype ${o.outDtype}`,
  );
  assertShape(
    !o.out || (!overlaps(o.out, x) && !overlaps(o.out, weight)),
    "linear: out overlaps x or the weight",
    "Write to another tensor.",
  );
}

function lastDim(tensor: Tensor): number {
  return tensor.dim(-1);
}

function sameMemory(a: Tensor, b: Tensor): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.dtype === b.dtype && a.size === b.size;
}

function overlaps(a: Tensor, b: Tensor): boolean {
  return (
    a.buffer === b.buffer &&
    a.byteOffset < b.byteOffset + b.byteLength &&
    b.byteOffset < a.byteOffset + a.byteLength
  );
}

/** f32 to f16 or bf16, element by element; both `[m, n]`. */
function pack(device: Device, from: Tensor, to: Tensor, dtype: "f16" | "bf16"): void {
  const kernel = defineKernel({
    inBounds: true,
    name: "linear-pack",
    key: dtype,
    bindings: [
      { name: "x", type: "array<f32>", access: "read" },
      { name: "out", type: "array<u32>", access: "read_write" },
    ],
    params: { count: "u32" },
    body: () => /* wgsl */ `${dtype === "bf16" ? PACK_BF16 : ""}
${flatMain(
  /* wgsl */ `
  let first = 2u * i;
  if (first >= params.count) { return; }
  let word = ${pack2("vec2f(x[first], x[min(first + 1u, params.count - 1u)])", dtype)};
  // With an odd count the other half of the last word is not ours.
  if (first + 1u < params.count) { out[i] = word; } else { out[i] = (out[i] & 0xffff0000u) | (word & 0xffffu); }`,
  64,
)}`,
  });
  const workgroups = Math.ceil(from.size / 128);
  device.dispatch({ kernel, tensors: [from, to], params: { count: from.size }, workgroups });
}
