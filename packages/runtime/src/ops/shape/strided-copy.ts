/** Copies between strided views of two tensors: what permute, slice, concat and repeatInterleave are made of. */
import type { Device } from "../../device/device.js";
import { assertShape, DeviceError } from "../../errors.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
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
/** Where bindings hold less than a few of those: whole words of every type. Such windows are copied to be bound. */
const SMALL_WINDOW = 8;

/** Copies within bindings of `limit` elements, in pieces whose windows start at multiples of `step`. */
interface Bounds {
  readonly limit: number;
  readonly step: number;
}

function copyPiece(
  device: Device,
  x: Tensor,
  y: Tensor,
  pieceAxes: readonly Axis[],
  from: number,
  to: number,
): void {
  const axes = joinAxes(pieceAxes);
  const elements = device.info.limits.maxStorageBufferBindingSize / bytesPerElement(x.dtype);
  const step = elements >= 16 * WINDOW ? WINDOW : SMALL_WINDOW;
  // A window begins up to a step early, and its size is rounded up to 16 bytes.
  const bounds = { limit: elements - 2 * step, step };
  for (const side of ["to", "from"] as const) {
    if (span(axes, side) <= bounds.limit) continue;
    const { axis: chosen, half } = chooseSplit(axes, from, to, side, x, bounds);
    const axis = axes[chosen]!;
    const part = (size: number) => axes.map((a, d) => (d === chosen ? { ...a, size } : a));
    copyPiece(device, x, y, part(half), from, to);
    copyPiece(device, x, y, part(axis.size - half), from + half * axis.from, to + half * axis.to);
    return;
  }
  const input = window(x, from, span(axes, "from"), step);
  const output = window(y, to, span(axes, "to"), step);
  record(device, input.view, output.view, axes, from - input.start, to - output.start);
  if (input.view !== x) input.view.dispose();
  if (output.view !== y) output.view.dispose();
}

/** The axis to halve, the one that reaches furthest first, such that both parts can still be written in whole words. */
function chooseSplit(
  axes: readonly Axis[],
  from: number,
  to: number,
  side: "from" | "to",
  x: Tensor,
  { limit, step }: Bounds,
): { axis: number; half: number } {
  const perWord = Math.max(1, 4 / bytesPerElement(x.dtype));
  const isContiguousOnly =
    copyUnit(axes, from, to, bytesPerElement(x.dtype)) < 4 && !hasWholeRuns(axes, to, perWord);
  const order = axes.map((_, d) => d).filter((d) => axes[d]!.size > 1);
  // Elements narrower than a word, in rows of no whole words: only the outermost axis leaves one run each.
  if (isContiguousOnly) order.splice(1);
  else order.sort((a, b) => axes[b]![side] - axes[a]![side]);
  for (const d of order) {
    const axis = axes[d]!;
    // Halves of the innermost axis stay multiples of a window, so that wide units still fit.
    const wanted = axis.to === 1 ? [step, SMALL_WINDOW, perWord] : isContiguousOnly ? [perWord] : [1];
    for (const multiple of wanted) {
      const half = Math.ceil(axis.size / 2 / multiple) * multiple;
      if (half < axis.size) return { axis: d, half };
    }
  }
  throw new DeviceError(
    "BINDING_TOO_LARGE",
    `moving ${x.dtype} elements of ${formatShape(x.shape)} needs bindings of more than ${limit} elements`,
    { fix: "Use a smaller size, cast to f32 first, or use a device with larger bindings." },
  );
}

/** Whether every run of the output begins and ends at whole 32-bit words. */
function hasWholeRuns(axes: readonly Axis[], to: number, perWord: number): boolean {
  const inner = axes.at(-1)!;
  if (inner.to !== 1) return false;
  return [inner.size, to, ...axes.slice(0, -1).map((a) => a.to)].every((n) => n % perWord === 0);
}

function window(
  tensor: Tensor,
  start: number,
  length: number,
  step: number,
): { view: Tensor; start: number } {
  const first = start - (start % step);
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
  const perWord = Math.max(1, 4 / unit);
  const hasRuns = unit < 4 && hasWholeRuns(axes, to, perWord);
  if (unit < 4 && !hasRuns) {
    const contiguous = axes.every((a, d) => a.to === (axes[d + 1] ? axes[d + 1]!.to * axes[d + 1]!.size : 1));
    assertShape(
      contiguous && to % perWord === 0,
      `${x.dtype} elements can not be written to places that are no multiple of 4 bytes apart`,
      "Cast to f32 first.",
    );
  }
  // Units of the innermost axis: several elements at once, or one word of a run.
  const scale = unit >= 4 ? unit / bytes : 1;
  const inner = axes.length - 1;
  const params: Record<string, number> = { start: from / scale, target_start: to / scale };
  let count = 1;
  axes.forEach((axis, d) => {
    const size = d === inner ? axis.size / scale / (hasRuns ? perWord : 1) : axis.size;
    count *= size;
    params[`n${d}`] = size;
    params[`s${d}`] = d === inner ? axis.from : axis.from / scale;
    params[`t${d}`] = d === inner ? axis.to : axis.to / scale;
  });
  params.count = count;
  const threads = unit >= 4 || hasRuns ? count : Math.ceil(count / perWord);
  device.dispatch({
    kernel: stridedCopyKernel({ unit, rank: axes.length, runs: hasRuns }),
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
