/** Nearest resizing and average pooling of `[B, T, H, W, C]`, and the way from decoded video to bytes. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import type { Kernel } from "../../kernel/kernel.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import { elementCount, formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { cast } from "../elementwise/elementwise.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, splitRows, withRows } from "../row-chunks.js";
import { stridedCopy } from "../shape/strided-copy.js";
import {
  averagePoolKernel,
  type POOL_PARAMS,
  type RESIZE_PARAMS,
  type ResizeSpec,
  resizeNearestKernel,
  rgbFramesKernel,
} from "./resize.wgsl.js";

export interface ResizeNearestOptions {
  /** Sample at pixel centres (`nearest-exact`) instead of corners (`nearest`). The same for whole factors. */
  readonly exact?: boolean;
}

/** Resizes `[B, T, H, W, C]` to `size` frames, rows and columns by picking the nearest element. */
export function resizeNearest(
  device: Device,
  x: Tensor,
  size: readonly [number, number, number],
  options: ResizeNearestOptions = {},
): Tensor {
  const shape = featureShape("resizeNearest", x);
  assertShape(
    size.every((n) => Number.isInteger(n) && n > 0),
    `resizeNearest: [${size.join(", ")}] is no size`,
  );
  const exact = options.exact ?? false;
  const [, frames, height] = shape;
  const nearest = (i: number, n: number, m: number) =>
    Math.min(n - 1, Math.floor(((exact ? i + 0.5 : i) * n) / m));
  return byLines(
    device,
    x,
    size,
    (spec) => resizeNearestKernel(spec, exact),
    {},
    {
      frames: (t) => [nearest(t, frames, size[0]), nearest(t, frames, size[0]) + 1],
      rows: (start, end) => [nearest(start, height, size[1]), nearest(end - 1, height, size[1]) + 1],
    },
  );
}

/** Averages blocks of `[B, T, H, W, C]`; frames, rows and columns that do not fill a block are left out. */
export function averagePool(
  device: Device,
  x: Tensor,
  factors: { readonly time?: number; readonly height?: number; readonly width?: number },
): Tensor {
  const [, frames, height, width] = featureShape("averagePool", x);
  const { time = 1, height: rows = 1, width: columns = 1 } = factors;
  const size = [Math.floor(frames / time), Math.floor(height / rows), Math.floor(width / columns)] as const;
  assertShape(
    size.every((n) => n > 0),
    `averagePool: blocks of ${time} x ${rows} x ${columns} do not fit ${formatShape(x.shape)}`,
  );
  const params = { factor_t: time, factor_h: rows, factor_w: columns };
  return byLines(device, x, size, averagePoolKernel, params, {
    frames: (t) => [t * time, (t + 1) * time],
    rows: (start, end) => [start * rows, end * rows],
  });
}

/**
 * Decoded video in [-1, 1] to bytes 0 to 255: `clamp(x / 2 + 1/2, 0, 1) * 255`, rounded half to even. Shape and
 * order of elements stay, so `[B, T, H, W, 3]` gives interleaved RGB frames.
 */
export function toRgbFrames(device: Device, x: Tensor): Tensor {
  const y = device.empty(x.shape, "u8");
  const kernel = rgbFramesKernel(floatDType("toRgbFrames", x));
  for (const chunk of rowChunks(device, x.size, [bytesPerElement(x.dtype), 1])) {
    withRows([x, y], x.size, chunk, (tensors) => {
      const count = chunk.end - chunk.start;
      device.dispatch({
        kernel,
        tensors,
        params: { count },
        workgroups: Math.ceil(count / 4 / FLAT_WORKGROUP),
      });
    });
  }
  return y;
}

type Feature = readonly [number, number, number, number, number];

function featureShape(op: string, x: Tensor): Feature {
  assertShape(
    x.shape.length === 5 && x.size > 0,
    `${op}: expected [B, T, H, W, C], got ${formatShape(x.shape)}`,
  );
  return x.shape as Feature;
}

/** Half-open ranges of the input that a part of the output needs. */
interface Needs {
  readonly frames: (frame: number) => readonly [start: number, end: number];
  readonly rows: (start: number, end: number) => readonly [start: number, end: number];
}

/** One dispatch, or several where bindings are too small: of whole output frames, or of some lines of one. */
function byLines(
  device: Device,
  x: Tensor,
  size: readonly [number, number, number],
  make: (spec: ResizeSpec) => Kernel<typeof POOL_PARAMS> | Kernel<typeof RESIZE_PARAMS>,
  extra: Readonly<Record<string, number>>,
  needs: Needs,
): Tensor {
  const [batch, frames, height, width, channels] = featureShape("resize", x);
  const [outFrames, outHeight, outWidth] = size;
  const bytes = bytesPerElement(x.dtype);
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } =
    device.info.limits;
  const shared = {
    ...{ channels, frames, height, width },
    ...{ out_frames: outFrames, out_height: outHeight, out_width: outWidth },
    ...extra,
  };
  const record = (from: Tensor, to: Tensor, first_line: number, first_input: number, frame_lines: number) =>
    device.dispatch({
      kernel: kernel as Kernel,
      tensors: [from, to],
      params: { ...shared, count: to.size, first_line, first_input, frame_lines },
      workgroups: Math.ceil(to.size / 4 / FLAT_WORKGROUP),
    });
  const shape = [batch, outFrames, outHeight, outWidth, channels];
  const fits = Math.max(x.size, elementCount(shape)) * bytes <= limit;
  if (!fits && (outHeight * outWidth * channels * bytes) % 4 !== 0) {
    // Frames that begin inside of a word can not be bound. In f32 they do not, and nothing is rounded twice.
    const wide = cast(device, x, "f32");
    const resized = byLines(device, wide, size, make, extra, needs);
    const y = cast(device, resized, floatDType("resize", x));
    for (const tensor of [wide, resized]) tensor.dispose();
    return y;
  }
  const kernel = make({ dtype: floatDType("resize", x), vector: channels % 4 === 0 });
  const y = device.empty(shape, x.dtype);
  if (fits) {
    record(x, y, 0, 0, height);
    return y;
  }
  const [lineBytes, outLineBytes] = [width * channels * bytes, outWidth * channels * bytes];
  const [firstFrame, endFrame] = needs.frames(0);
  const depth = endFrame - firstFrame;
  // Inputs begin where they can be bound, or at a whole word, and so a few lines early.
  const aligned = linesPerMultiple(lineBytes, alignment);
  const step = aligned * lineBytes <= limit / 4 ? aligned : linesPerMultiple(lineBytes, 4);
  const perLine = Math.ceil(height / outHeight) * depth * lineBytes;
  const pieces = splitRows(
    outHeight,
    [outLineBytes, perLine],
    Math.max(0, limit - (step + depth) * lineBytes),
    alignment,
    linesPerMultiple(outLineBytes, 4),
  );
  const sources = x.reshape([batch * frames * height, width * channels]);
  const targets = y.reshape([batch * outFrames * outHeight, outWidth * channels]);
  for (let frame = 0; frame < batch * outFrames; frame++) {
    const [start] = needs.frames(frame % outFrames);
    const source = Math.floor(frame / outFrames) * frames + start;
    for (const piece of pieces) {
      const line = frame * outHeight + piece.start;
      const to = targets.rows(line, line + piece.end - piece.start);
      const [top, bottom] = needs.rows(piece.start, piece.end);
      if (depth === 1) {
        const first = Math.floor((source * height + top) / step) * step;
        const from = sources.rows(first, source * height + bottom);
        record(from, to, line, first, height);
        from.dispose();
      } else {
        const from = gatherLines(device, x, source, depth, top, bottom);
        record(from, to, line, source * (bottom - top) + top, bottom - top);
        from.dispose();
      }
      to.dispose();
    }
  }
  sources.dispose();
  targets.dispose();
  return y;
}

/** Fewest lines whose bytes are a multiple of `bytes`, a power of two. */
function linesPerMultiple(lineBytes: number, bytes: number): number {
  let lines = 1;
  while ((lines * lineBytes) % bytes !== 0) lines *= 2;
  return lines;
}

/** Lines `top` to `bottom` of `depth` frames, which are too far apart for one binding, side by side. */
function gatherLines(
  device: Device,
  x: Tensor,
  frame: number,
  depth: number,
  top: number,
  bottom: number,
): Tensor {
  const [, , height, width, channels] = featureShape("resize", x);
  const line = width * channels;
  const lines = device.empty([depth, bottom - top, width, channels], x.dtype);
  stridedCopy(device, x, lines, {
    axes: [
      { size: depth, from: height * line, to: (bottom - top) * line },
      { size: (bottom - top) * line, from: 1, to: 1 },
    ],
    from: (frame * height + top) * line,
  });
  return lines;
}
