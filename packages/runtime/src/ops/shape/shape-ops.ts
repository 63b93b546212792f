/** Ops that move elements without changing them. They copy bits, so every dtype and every NaN survives. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import { bytesPerElement, isFloatDType } from "../../tensor/dtype.js";
import { elementCount, formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { cast } from "../elementwise/elementwise.js";
import { stridedCopy, stridesOf } from "./strided-copy.js";

function checkedAxis(op: string, x: Tensor, axis: number): number {
  const d = axis < 0 ? x.shape.length + axis : axis;
  assertShape(
    Number.isInteger(d) && d >= 0 && d < x.shape.length,
    `${op}: ${formatShape(x.shape)} has no axis ${axis}`,
  );
  return d;
}

/** Axis d of the result is axis `axes[d]` of `x`. Up to 8 axes. */
export function permute(device: Device, x: Tensor, axes: readonly number[]): Tensor {
  assertShape(
    axes.length === x.shape.length && axes.length <= 8 && new Set(axes).size === axes.length,
    `permute: [${axes.join(", ")}] is no order of the axes of ${formatShape(x.shape)}`,
  );
  const order = axes.map((axis) => checkedAxis("permute", x, axis));
  const strides = stridesOf(x.shape);
  const shape = order.map((d) => x.shape[d]!);
  const to = stridesOf(shape);
  const y = device.empty(shape, x.dtype);
  stridedCopy(device, x, y, {
    axes: order.map((d, i) => ({ size: shape[i]!, from: strides[d]!, to: to[i]! })),
  });
  return y;
}

/** Entries `start` to `end` (exclusive; negative counts from the end) of one axis. On axis 0 `x.rows` does it without a copy. */
export function slice(device: Device, x: Tensor, axis: number, start: number, end: number): Tensor {
  const d = checkedAxis("slice", x, axis);
  const size = x.shape[d]!;
  const first = start < 0 ? size + start : start;
  const last = end < 0 ? size + end : end;
  assertShape(
    first >= 0 && first <= last && last <= size,
    `slice: ${start}..${end} is outside of axis ${d} of ${formatShape(x.shape)}`,
  );
  const inner = elementCount(x.shape.slice(d + 1));
  const outer = elementCount(x.shape.slice(0, d));
  const y = device.empty(x.shape.with(d, last - first), x.dtype);
  stridedCopy(device, x, y, {
    axes: [
      { size: outer, from: size * inner, to: (last - first) * inner },
      { size: (last - first) * inner, from: 1, to: 1 },
    ],
    from: first * inner,
  });
  return y;
}

/**
 * Writes `part` over the entries of `x` from `start` on along one axis: what `slice` takes out, put back in place.
 * Rows of halves that are no whole 32-bit words can only be written along axis 0.
 * @throws ShapeError when `part` does not fit
 */
export function updateSlice(device: Device, x: Tensor, axis: number, start: number, part: Tensor): void {
  const d = checkedAxis("updateSlice", x, axis);
  const size = x.shape[d]!;
  const length = part.shape[d] ?? 0;
  assertShape(
    part.dtype === x.dtype &&
      part.shape.length === x.shape.length &&
      part.shape.every((n, i) => i === d || n === x.shape[i]) &&
      Number.isInteger(start) &&
      start >= 0 &&
      start + length <= size,
    `updateSlice: ${part.dtype} ${formatShape(part.shape)} does not fit ${x.dtype} ${formatShape(x.shape)} from entry ${start} of axis ${d} on`,
  );
  const inner = elementCount(x.shape.slice(d + 1));
  const outer = elementCount(x.shape.slice(0, d));
  stridedCopy(device, part, x, {
    axes: [
      { size: outer, from: length * inner, to: size * inner },
      { size: length * inner, from: 1, to: 1 },
    ],
    to: start * inner,
  });
}

/** Tensors of the same dtype, one after the other along `axis`; their other axes must agree. */
export function concat(device: Device, tensors: readonly Tensor[], axis: number): Tensor {
  const [head] = tensors;
  assertShape(head !== undefined, "concat: no tensors were given");
  const d = checkedAxis("concat", head, axis);
  for (const t of tensors) {
    assertShape(
      t.dtype === head.dtype &&
        t.shape.length === head.shape.length &&
        t.shape.every((n, i) => i === d || n === head.shape[i]),
      `concat along axis ${d}: ${t.dtype} ${formatShape(t.shape)} does not fit ${head.dtype} ${formatShape(head.shape)}`,
    );
  }
  const { dtype } = head;
  const outer = elementCount(head.shape.slice(0, d));
  const inner = elementCount(head.shape.slice(d + 1));
  const total = tensors.reduce((sum, t) => sum + t.shape[d]!, 0);
  const bytes = bytesPerElement(dtype);
  // Two threads must not write parts of one 32-bit word: odd pieces of halves go through f32, which loses nothing.
  if (tensors.some((t) => (t.shape[d]! * inner * bytes) % 4 !== 0) && isFloatDType(dtype)) {
    const wide = tensors.map((t) => cast(device, t, "f32"));
    const joined = concat(device, wide, d);
    const y = cast(device, joined, dtype);
    for (const t of [...wide, joined]) t.dispose();
    return y;
  }
  const y = device.empty(head.shape.with(d, total), dtype);
  let start = 0;
  for (const t of tensors) {
    const run = t.shape[d]! * inner;
    stridedCopy(device, t, y, {
      axes: [
        { size: outer, from: run, to: total * inner },
        { size: run, from: 1, to: 1 },
      ],
      to: start * inner,
    });
    start += t.shape[d]!;
  }
  return y;
}

/** Each entry of `axis` `times` times in a row: a, a, b, b, ... */
export function repeatInterleave(device: Device, x: Tensor, axis: number, times: number): Tensor {
  const d = checkedAxis("repeatInterleave", x, axis);
  assertShape(Number.isInteger(times) && times >= 0, `repeatInterleave: ${times} is no count`);
  const outer = elementCount(x.shape.slice(0, d));
  const inner = elementCount(x.shape.slice(d + 1));
  const size = x.shape[d]!;
  const y = device.empty(x.shape.with(d, size * times), x.dtype);
  stridedCopy(device, x, y, {
    axes: [
      { size: outer * size, from: inner, to: times * inner },
      { size: times, from: 0, to: inner },
      { size: inner, from: 1, to: 1 },
    ],
  });
  return y;
}

/** Zeros around `x` along one axis. */
export function pad(device: Device, x: Tensor, axis: number, before: number, after: number): Tensor {
  const d = checkedAxis("pad", x, axis);
  const zeros = [before, after].map((n) => device.zeros(x.shape.with(d, n), x.dtype));
  const y = concat(device, [zeros[0]!, x, zeros[1]!], d);
  for (const t of zeros) t.dispose();
  return y;
}
