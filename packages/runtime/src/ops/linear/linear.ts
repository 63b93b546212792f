/** Linear layer: a matrix product with everything that usually follows it fused into its single store. */
import type { Device } from "../../device/device.js";
import type { KernelTier } from "../../device/device-info.js";
import { assertShape, ShapeError } from "../../errors.js";
import { defineKernel, LINEAR_WORKGROUP } from "../../kernel/kernel.js";
import type { Activation } from "../../kernel/wgsl.js";
import { bytesPerElement, type FloatDType, isFloatDType } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { type LinearShaderShape, linearKernel } from "./linear.wgsl.js";
import { PACK_BF16 } from "./linear-epilogue.wgsl.js";
import { chooseLinear, type LinearVariant, outputTile, type Range, splitRows } from "./linear-plan.js";

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
  /** For tests and tuning. */
  readonly tuning?: LinearTuning | undefined;
}

export interface LinearTuning {
  /** Kernel family instead of the device's. */
  readonly tier?: KernelTier;
  /** This kernel instead of the chosen one. */
  readonly variant?: LinearVariant;
  /** Pretend that bindings are no larger than this many bytes. */
  readonly maxBindingBytes?: number;
}

/**
 * `y = residual + gate * (activation(x W^T + bias) * multiply)`, summed in f32, rounded once.
 *
 * x `[..., K]`, weight `[N, K]` as checkpoints store it; both f32, f16 or bf16. Returns `[..., N]`, new or `out`.
 * Weights and activations beyond the device's binding limit are worked on in parts.
 * @throws ShapeError when shapes do not fit together
 */
export function linear(device: Device, x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias, multiply, gate, tuning = {} } = options;
  const K = x.dim(-1);
  const N = weight.dim(0);
  const M = K === 0 ? 0 : x.size / K;
  const shape = [...x.shape.slice(0, -1), N];
  check(x, weight, options);
  const outDtype = options.outDtype ?? (options.out ? floatDType(options.out, "out") : floatDType(x, "x"));
  const out = options.out ?? device.empty(shape, outDtype);
  if (M === 0 || N === 0) return out;
  const inPlace = options.residual !== undefined && sameMemory(options.residual, out);
  const residual = inPlace ? undefined : options.residual;

  const { limits } = device.info;
  const limit = Math.min(
    tuning.maxBindingBytes ?? Number.POSITIVE_INFINITY,
    limits.maxStorageBufferBindingSize,
  );
  const alignment = limits.minStorageBufferOffsetAlignment;
  // Rows of a two-byte output with an odd N share words: sum into f32 and pack afterwards.
  const packed = outDtype !== "f32" && N % 2 === 1;
  const byRow = [x, multiply, residual, out].filter((t) => t !== undefined);
  const rowBytes = byRow.map((t) => (t.size / M) * bytesPerElement(t.dtype));
  if (packed) rowBytes.push(N * 4);
  const rowRanges = splitRows(M, rowBytes, limit, alignment, packed ? 2 : 1);
  const columnRanges = splitRows(
    N,
    [K * bytesPerElement(weight.dtype)],
    limit,
    alignment,
    N % 4 === 0 ? 4 : N % 2 === 0 ? 2 : 1,
  );

  const direct: LinearShaderShape = {
    x: floatDType(x, "x"),
    weight: floatDType(weight, "weight"),
    alignedK: K % 4 === 0,
    alignedN: N % 4 === 0,
    out: outDtype,
    ...(bias ? { bias: floatDType(bias, "bias") } : {}),
    ...(options.activation ? { activation: options.activation } : {}),
    ...(multiply ? { multiply: floatDType(multiply, "multiply") } : {}),
    ...(gate ? { gate: floatDType(gate, "gate") } : {}),
    ...(inPlace ? { residual: "in_place" as const } : {}),
    ...(residual ? { residual: floatDType(residual, "residual") } : {}),
  };
  const variant =
    tuning.variant ?? chooseLinear({ M, N, K }, direct, tuning.tier ?? device.tier, device.info);
  const tile = outputTile(variant);
  assertShape(variant.kind !== "gemv" || M <= tile.rows, `linear: ${M} rows for a kernel of ${tile.rows}`);
  const kernel = linearKernel(
    packed ? { ...direct, out: "f32", ...(inPlace ? { residual: outDtype } : {}) } : direct,
    variant,
  );

  const parts: Tensor[] = [];
  const part = (tensor: Tensor, rows: Range): Tensor => {
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
      device.dispatch({ kernel, tensors, params, workgroups });
    }
    if (packed) {
      pack(device, written, target);
      written.dispose();
    }
  }
  for (const view of parts) view.dispose();
  return out;
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

function floatDType(tensor: Tensor, name: string): FloatDType {
  if (isFloatDType(tensor.dtype)) return tensor.dtype;
  throw new ShapeError("DTYPE_MISMATCH", `linear: ${name} is ${tensor.dtype}, expected f32, f16 or bf16`);
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
function pack(device: Device, from: Tensor, to: Tensor): void {
  const dtype = floatDType(to, "out");
  const value = dtype === "f16" ? "pack2x16float(v)" : "pack_bf16(v)";
  const kernel = defineKernel({
    name: "linear-pack",
    key: dtype,
    bindings: [
      { name: "x", type: "array<f32>", access: "read" },
      { name: "out", type: "array<u32>", access: "read_write" },
    ],
    params: { count: "u32" },
    body: () => `${LINEAR_WORKGROUP}
${PACK_BF16}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) l: u32) {
  let i = 2u * (linear_workgroup(group, grid) * 64u + l);
  if (i >= params.count) { return; }
  let whole = i + 1u < params.count;
  let v = vec2f(x[i], x[min(i + 1u, params.count - 1u)]);
  let word = ${value};
  // With an odd count the other half of the last word is not ours.
  if (whole) { out[i >> 1u] = word; } else { out[i >> 1u] = (out[i >> 1u] & 0xffff0000u) | (word & 0xffffu); }
}`,
  });
  const workgroups = Math.ceil(from.size / 128);
  device.dispatch({ kernel, tensors: [from, to], params: { count: from.size }, workgroups });
}
