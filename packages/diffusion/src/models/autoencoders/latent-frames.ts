/** A clip's latents as decoders take them: a few frames at a time, so that a long clip needs no more memory than a short one. */
import { type Device, permute, slice, type Tensor } from "@lvsa/runtime";

export interface LatentFrames {
  /** Latent frames of the clip. */
  readonly count: number;
  /** Cells of a frame. */
  readonly height: number;
  readonly width: number;
  /** Raw latents (after the autoencoder's scaling) of frames `start` to `end`: `[end − start, h, w, C]` f32, the caller's. */
  rows(start: number, end: number): Tensor;
}

/** Of raw latents `[1, C, T, h, w]` that are on the GPU; they stay the caller's. */
export function latentFrames(device: Device, latents: Tensor): LatentFrames {
  const [, C, T, h, w] = latents.shape as [number, number, number, number, number];
  return {
    ...{ count: T, height: h, width: w },
    rows: (start, end) =>
      device.scope(() => channelsLast(device, slice(device, latents.reshape([C, T, h, w]), 1, start, end))),
  };
}

export interface HostLatents {
  readonly data: Float32Array;
  /** `[1, C, T, h, w]`, or with `framesFirst` `[1, T, C, h, w]`. */
  readonly shape: readonly number[];
  readonly framesFirst?: boolean;
  /** Frames in front that are no part of the clip. Default 0. */
  readonly skip?: number;
}

/** Of a scheduler's latents in main memory, which come to the GPU when they are asked for. */
export function hostLatentFrames(
  device: Device,
  { data, shape, framesFirst = false, skip = 0 }: HostLatents,
  denormalize: (latents: Tensor) => Tensor,
): LatentFrames {
  const [, a, b, h, w] = shape as [number, number, number, number, number];
  const [C, T] = framesFirst ? [b, a] : [a, b];
  const area = h * w;
  /** `[C, n, h, w]` of frames `from` to `to`. */
  const gathered = (from: number, to: number): Float32Array => {
    const count = to - from;
    const part = new Float32Array(C * count * area);
    for (let c = 0; c < C; c++) {
      for (let f = 0; f < count; f++) {
        const at = (framesFirst ? (from + f) * C + c : c * T + from + f) * area;
        part.set(data.subarray(at, at + area), (c * count + f) * area);
      }
    }
    return part;
  };
  return {
    ...{ count: T - skip, height: h, width: w },
    rows: (start, end) =>
      device.scope(() => {
        const count = end - start;
        const normalized = device.upload(gathered(skip + start, skip + end), [1, C, count, h, w]);
        return channelsLast(device, denormalize(normalized).reshape([C, count, h, w]));
      }),
  };
}

function channelsLast(device: Device, frames: Tensor): Tensor {
  return permute(device, frames, [1, 2, 3, 0]);
}
