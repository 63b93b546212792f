/** Copies between strided views of two tensors: what permute, slice, concat and repeatInterleave are made of. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import type { Tensor } from "../../tensor/tensor.js";
import { type CopyUnit, stridedCopyKernel } from "./strided-copy.wgsl.js";

interface Axis {
  readonly size: number;
  /** Elements from one entry to the next, in the input and in the output. */
  readonly from: number;
  readonly to: number;
}

/** Where to read and write, in elements. Axes run from the outermost to the innermost. */
export interface StridedCopy {
  readonly axes: readonly Axis[];
  readonly from?: number;
  readonly to?: number;
}

/** Row-major strides of a shape. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let d = shape.length - 2; d >= 0; d--) strides[d] = strides[d + 1]! * shape[d + 1]!;
  return strides;
}

/** Copies bits; dtypes must have the same width. Output axes must not overlap. */
export function stridedCopy(device: Device, x: Tensor, y: Tensor, copy: StridedCopy): void {
  const axes = joinAxes(copy.axes);
  if (axes.some((a) => a.size === 0)) return;
  copyPiece(device, x, y, axes, copy.from ?? 0, copy.to ?? 0);
}

/** Drops axes of one entry and joins neighbours that are contiguous on both sides. */
function joinAxes(axes: readonly Axis[]): Axis[] {
  const joined: Axis[] = [];
  for (const axis of axes) {
    if (axis.size === 1) continue;
    const outer = joined.at(-1);
    if (outer && outer.from === axis.from * axis.size && outer.to === axis.to * axis.size) {
      joined[joined.length - 1] = { ...axis, size: outer.size * axis.size };
    } else {
      joined.push(axis);
    }
  }
  return joined.length > 0 ? joined : [{ size: 1, from: 1, to: 1 }];
}

/** Elements from the first to the last one touched. */
function span(axes: readonly Axis[], side: "from" | "to"): number {
  return axes.reduce((sum, axis) => sum + (axis.size - 1) * axis[side], 1);
}

/** Windows start at multiples of this many elements: 256 bytes or more, the strictest offset rule of WebGPU. */
const WINDOW = 256;

function copyPiece(
  device: Device,
  x: Tensor,
  y: Tensor,
  axes: readonly Axis[],
  from: number,
  to: number,
): void {
  const limit = device.info.limits.maxStorageBufferBindingSize / bytesPerElement(x.dtype) - 2 * WINDOW;
  for (const side of ["to", "from"] as const) {
    if (span(axes, side) <= limit) continue;
    const widest = axes.reduce((best, a, d) => (a.size > 1 && a[side] > axes[best]![side] ? d : best), 0);
    const axis = axes[widest]!;
    // Halves of the innermost axis stay multiples of a window, so that wide units still fit.
    const step = axis.from === 1 && axis.to === 1 ? WINDOW : 1;
    const half = Math.ceil(axis.size / 2 / step) * step;
    const part = (size: number) => axes.map((a, d) => (d === widest ? { ...a, size } : a));
    copyPiece(device, x, y, part(half), from, to);
    copyPiece(device, x, y, part(axis.size - half), from + half * axis.from, to + half * axis.to);
    return;
  }
  const input = window(x, from, span(axes, "from"));
  const output = window(y, to, span(axes, "to"));
  record(device, input.view, output.view, axes, from - input.start, to - output.start);
  if (input.view !== x) input.view.dispose();
  if (output.view !== y) output.view.dispose();
}

function window(tensor: Tensor, start: number, length: number): { view: Tensor; start: number } {
  const first = start - (start % WINDOW);
  const end = Math.min(tensor.size, start + length);
  // Small starts cost nothing to bind, and whole tensors need no view.
  if (first === 0 && end === tensor.size) return { view: tensor, start: 0 };
  const flat = tensor.reshape([tensor.size]);
  const view = flat.rows(first, end);
  flat.dispose();
  return { view, start: first };
}

function record(device: Device, x: Tensor, y: Tensor, axes: readonly Axis[], from: number, to: number): void {
  const bytes = bytesPerElement(x.dtype);
  const unit = copyUnit(axes, from, to, bytes);
  const scale = unit >= 4 ? unit / bytes : 1;
  const rank = axes.length;
  if (unit < 4) {
    const contiguous = axes.every((a, d) => a.to === (axes[d + 1] ? axes[d + 1]!.to * axes[d + 1]!.size : 1));
    assertShape(
      contiguous && (to * bytes) % 4 === 0,
      `${x.dtype} elements can not be written to places that are no multiple of 4 bytes apart`,
      "Cast to f32 first.",
    );
  }
  const inner = rank - 1;
  const params: Record<string, number> = { start: from / scale, target_start: to / scale };
  let count = 1;
  axes.forEach((axis, d) => {
    const size = d === inner ? axis.size / scale : axis.size;
    count *= size;
    params[`n${d}`] = size;
    params[`s${d}`] = d === inner ? axis.from : axis.from / scale;
    params[`t${d}`] = d === inner ? axis.to : axis.to / scale;
  });
  params.count = count;
  const threads = unit >= 4 ? count : Math.ceil((count * unit) / 4);
  device.dispatch({
    kernel: stridedCopyKernel({ unit, rank }),
    tensors: [x, y],
    params,
    workgroups: Math.ceil(threads / FLAT_WORKGROUP),
  });
}

/** The widest unit that divides every run, stride and offset. */
function copyUnit(axes: readonly Axis[], from: number, to: number, bytes: number): CopyUnit {
  const inner = axes.at(-1)!;
  if (inner.from === 1 && inner.to === 1) {
    const numbers = [inner.size, from, to, ...axes.slice(0, -1).flatMap((a) => [a.from, a.to])];
    for (const unit of [16, 8, 4] as const) if (numbers.every((n) => (n * bytes) % unit === 0)) return unit;
  }
  return bytes as CopyUnit;
}
