/**
 * Elementwise ops on tensors of any shape. Math is f32, storage is each tensor's own type. Outputs are new tensors
 * unless `out` is given; `out` may be the first input itself.
 */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import type { Activation } from "../../kernel/wgsl.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement, type FloatDType } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, withRows } from "../row-chunks.js";
import { type ElementwiseOperand, type ElementwiseOperation, elementwiseKernel } from "./elementwise.wgsl.js";

export interface ElementwiseOptions {
  /** Where to write; may be the first input (in place). Its dtype wins over `outDtype`. */
  readonly out?: Tensor;
  /** Stored type of a new output. Default: the first input's. */
  readonly outDtype?: FloatDType;
}

/** `a + b`. `b` has as many elements as `a`, or is `[C]`, or `[G, C]`: row r of `a` takes row floor(r / (rows / G)). */
export function add(device: Device, a: Tensor, b: Tensor, options: ElementwiseOptions = {}): Tensor {
  return run(device, { kind: "add_scaled" }, a, { b, p: 1, q: 1 }, options);
}

/** `a * b`, with `b` as in `add`. */
export function multiply(device: Device, a: Tensor, b: Tensor, options: ElementwiseOptions = {}): Tensor {
  return run(device, { kind: "multiply" }, a, { b }, options);
}

/** `alpha * a + beta * b`, with `b` as in `add`. */
export function addScaled(
  device: Device,
  a: Tensor,
  alpha: number,
  b: Tensor,
  beta: number,
  options: ElementwiseOptions = {},
): Tensor {
  return run(device, { kind: "add_scaled" }, a, { b, p: alpha, q: beta }, options);
}

/** `x * scale + shift` with numbers. Defaults: scale 1, shift 0. */
export function affine(
  device: Device,
  x: Tensor,
  numbers: { readonly scale?: number; readonly shift?: number },
  options: ElementwiseOptions = {},
): Tensor {
  return run(device, { kind: "affine" }, x, { p: numbers.scale ?? 1, q: numbers.shift ?? 0 }, options);
}

/** `x * scale + shift` with one number per channel: `scale` and `shift` are `[C]` (or `[G, C]`, as in `add`). */
export function channelAffine(
  device: Device,
  x: Tensor,
  scale: Tensor,
  shift: Tensor,
  options: ElementwiseOptions = {},
): Tensor {
  assertShape(
    scale.size === shift.size,
    `channelAffine: scale ${formatShape(scale.shape)} and shift ${formatShape(shift.shape)} differ in size`,
  );
  return run(device, { kind: "channel_affine" }, x, { b: scale, c: shift }, options);
}

export function activate(
  device: Device,
  x: Tensor,
  activation: Activation,
  options: ElementwiseOptions = {},
): Tensor {
  return run(device, { kind: "activate", activation }, x, {}, options);
}

/** Each element at least `min` and at most `max`; what is no number stays none, as in PyTorch. */
export function clamp(
  device: Device,
  x: Tensor,
  min: number,
  max: number,
  options: ElementwiseOptions = {},
): Tensor {
  return run(device, { kind: "clamp" }, x, { p: min, q: max }, options);
}

/** The same numbers in another stored type, rounded half to even. Always a copy, also to the same type. */
export function cast(device: Device, x: Tensor, dtype: FloatDType): Tensor {
  return run(device, { kind: "cast" }, x, {}, { outDtype: dtype });
}

interface Inputs {
  readonly b?: Tensor;
  readonly c?: Tensor;
  readonly p?: number;
  readonly q?: number;
}

function run(
  device: Device,
  operation: ElementwiseOperation,
  a: Tensor,
  inputs: Inputs,
  options: ElementwiseOptions,
): Tensor {
  const name = operation.kind;
  const y = options.out ?? device.empty(a.shape, options.outDtype ?? floatDType(name, a));
  assertShape(
    y.size === a.size,
    `${name}: out ${formatShape(y.shape)} does not hold ${formatShape(a.shape)}`,
  );
  if (a.size === 0) return y;
  const channels = a.shape.at(-1) ?? 1;
  const inPlace = y.buffer === a.buffer && y.byteOffset === a.byteOffset && y.dtype === a.dtype;
  const b = inputs.b && operand(name, a, inputs.b, channels);
  const c = inputs.c && operand(name, a, inputs.c, channels);
  const kernel = elementwiseKernel({
    operation,
    a: floatDType(name, a),
    b,
    c,
    y: floatDType(name, y),
    inPlace,
  });
  const table = [inputs.b, inputs.c].find((t) => t !== undefined && t.size !== a.size);
  const rows = a.size / channels;
  const rowsPerGroup = table ? rows / (table.size / channels) : 1;
  // Tensors that are walked together with `a` are split with it; tables are bound whole.
  const walked = [
    ...(inPlace ? [] : [a]),
    ...[inputs.b, inputs.c].filter((t) => t?.size === a.size),
    y,
  ] as Tensor[];
  const chunks = rowChunks(
    device,
    a.size,
    walked.map((t) => bytesPerElement(t.dtype)),
  );
  for (const chunk of chunks) {
    withRows(walked, a.size, chunk, (views) => {
      const view = (tensor: Tensor) => views[walked.indexOf(tensor)] ?? tensor;
      const tensors = [...(inPlace ? [] : [a]), inputs.b, inputs.c, y]
        .filter((t) => t !== undefined)
        .map(view);
      const count = chunk.end - chunk.start;
      device.dispatch({
        kernel,
        tensors,
        params: {
          count,
          first: chunk.start,
          channels,
          rows_per_group: rowsPerGroup,
          p: inputs.p ?? 0,
          q: inputs.q ?? 0,
        },
        workgroups: Math.ceil(count / (4 * FLAT_WORKGROUP)),
      });
    });
  }
  return y;
}

function operand(name: string, a: Tensor, b: Tensor, channels: number): ElementwiseOperand {
  const dtype = floatDType(name, b);
  if (b.size === a.size) return { dtype, broadcast: "none" };
  const groups = b.size / channels;
  const rows = a.size / channels;
  assertShape(
    b.shape.at(-1) === channels && rows % groups === 0,
    `${name}: ${formatShape(b.shape)} does not broadcast over ${formatShape(a.shape)}`,
    "Give as many elements, [C], or [G, C] where G divides the rows.",
  );
  return { dtype, broadcast: channels % 4 === 0 ? "vector" : "element" };
}
