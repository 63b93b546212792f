/** Nearest resizing and average pooling of `[B, T, H, W, C]`, and the way from decoded video to bytes. */
import type { Device } from "../../device/device.js";
import { assertShape } from "../../errors.js";
import type { Kernel } from "../../kernel/kernel.js";
import { FLAT_WORKGROUP } from "../../kernel/wgsl-threads.js";
import { bytesPerElement } from "../../tensor/dtype.js";
import { formatShape } from "../../tensor/shape.js";
import type { Tensor } from "../../tensor/tensor.js";
import { floatDType } from "../float-dtype.js";
import { rowChunks, withRows } from "../row-chunks.js";
import {
  averagePoolKernel,
  type POOL_PARAMS,
  type RESIZE_PARAMS,
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
  const [, frames] = shape;
  const source = (t: number) => Math.min(frames - 1, Math.floor(((exact ? t + 0.5 : t) * frames) / size[0]));
  const spec = { dtype: floatDType("resizeNearest", x), vector: shape[4] % 4 === 0 };
  return byFrames(device, x, size, resizeNearestKernel(spec, exact), {}, (t) => [source(t), source(t) + 1]);
}

/** Averages blocks of `[B, T, H, W, C]`; frames, rows and columns that do not fill a block are left out. */
export function averagePool(
  device: Device,
  x: Tensor,
  factors: { readonly time?: number; readonly height?: number; readonly width?: number },
): Tensor {
  const [, frames, height, width, channels] = featureShape("averagePool", x);
  const { time = 1, height: rows = 1, width: columns = 1 } = factors;
  const size = [Math.floor(frames / time), Math.floor(height / rows), Math.floor(width / columns)] as const;
  assertShape(
    size.every((n) => n > 0),
    `averagePool: blocks of ${time} x ${rows} x ${columns} do not fit ${formatShape(x.shape)}`,
  );
  const kernel = averagePoolKernel({ dtype: floatDType("averagePool", x), vector: channels % 4 === 0 });
  const params = { factor_t: time, factor_h: rows, factor_w: columns };
  return byFrames(device, x, size, kernel, params, (t) => [t * time, (t + 1) * time]);
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

/** One dispatch, or one per output frame where bindings are too small; `inputs` says which frames one needs. */
function byFrames(
  device: Device,
  x: Tensor,
  size: readonly [number, number, number],
  kernel: Kernel<typeof POOL_PARAMS> | Kernel<typeof RESIZE_PARAMS>,
  extra: Readonly<Record<string, number>>,
  inputs: (frame: number) => readonly [start: number, end: number],
): Tensor {
  const [batch, frames, height, width, channels] = featureShape("resize", x);
  const [outFrames, outHeight, outWidth] = size;
  const y = device.empty([batch, outFrames, outHeight, outWidth, channels], x.dtype);
  const limit = device.info.limits.maxStorageBufferBindingSize;
  const params = {
    channels,
    frames,
    height,
    width,
    out_frames: outFrames,
    out_height: outHeight,
    out_width: outWidth,
    ...extra,
  };
  const record = (from: Tensor, to: Tensor, firstFrame: number, firstInput: number) =>
    device.dispatch({
      kernel: kernel as Kernel,
      tensors: [from, to],
      params: { ...params, count: to.size, first_frame: firstFrame, first_input: firstInput },
      workgroups: Math.ceil(to.size / 4 / FLAT_WORKGROUP),
    });
  if (Math.max(x.byteLength, y.byteLength) <= limit) {
    record(x, y, 0, 0);
    return y;
  }
  const sources = x.reshape([batch * frames, height, width, channels]);
  const targets = y.reshape([batch * outFrames, outHeight, outWidth, channels]);
  for (let frame = 0; frame < batch * outFrames; frame++) {
    const first = Math.floor(frame / outFrames) * frames;
    const [start, end] = inputs(frame % outFrames);
    const from = sources.rows(first + start, first + end);
    const to = targets.rows(frame, frame + 1);
    record(from, to, frame, first + start);
    from.dispose();
    to.dispose();
  }
  sources.dispose();
  targets.dispose();
  return y;
}
