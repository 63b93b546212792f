/** Latents to rows of square patches and back, with the channel fastest and zeros past the edges (Cosmos 3). */
import type { VideoGeometry } from "@lvsa/core";
import { type Device, pad, permute, slice, type Tensor } from "@lvsa/runtime";

/** Latents `[1, C, T, h, w]` to `[1, tokens, p·p·C]`; `geometry` counts patches, those at the edge included. */
export function toCosmos3Patches(
  device: Device,
  latents: Tensor,
  { latentFrames: T, height: H, width: W }: VideoGeometry,
  p: number,
): Tensor {
  const [, channels, , h, w] = latents.shape as [number, number, number, number, number];
  let x = latents;
  if (H * p > h) x = pad(device, x, 3, 0, H * p - h);
  if (W * p > w) x = pad(device, x, 4, 0, W * p - w);
  const rows = permute(device, x.reshape([channels, T, H, p, W, p]), [1, 2, 4, 3, 5, 0]);
  return rows.reshape([1, T * H * W, p * p * channels]);
}

/** Patches `[1, tokens, p·p·C]` to `[1, C, T, h, w]`, cut back to `shape`. */
export function fromCosmos3Patches(
  device: Device,
  patches: Tensor,
  { latentFrames: T, height: H, width: W }: VideoGeometry,
  p: number,
  shape: readonly number[],
): Tensor {
  const [, channels, , h, w] = shape as [number, number, number, number, number];
  let x = permute(device, patches.reshape([T, H, W, p, p, channels]), [5, 0, 1, 3, 2, 4]).reshape([
    1,
    channels,
    T,
    H * p,
    W * p,
  ]);
  if (H * p > h) x = slice(device, x, 3, 0, h);
  if (W * p > w) x = slice(device, x, 4, 0, w);
  return x;
}
