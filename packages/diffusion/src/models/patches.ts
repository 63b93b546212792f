/** Between latents and rows of patches: a convolution whose kernel equals its stride is a matrix product on these. */
import type { PatchSize, VideoGeometry } from "@lvsa/core";
import { type Device, permute, type Tensor } from "@lvsa/runtime";

/** Latents `[1, C, T, h, w]` to patches `[1, tokens, C·pt·ph·pw]`, features in the order of a Conv3d weight. */
export function toPatches(
  device: Device,
  latents: Tensor,
  geometry: VideoGeometry,
  [pt, ph, pw]: PatchSize,
): Tensor {
  const { latentFrames: T, height: H, width: W } = geometry;
  const channels = latents.dim(1);
  return permute(device, latents.reshape([channels, T, pt, H, ph, W, pw]), [1, 3, 5, 0, 2, 4, 6]).reshape([
    1,
    T * H * W,
    channels * pt * ph * pw,
  ]);
}

/** Patches `[1, tokens, C·pt·ph·pw]` with the channel slowest to `[1, C, T, h, w]`. */
export function fromPatches(
  device: Device,
  patches: Tensor,
  geometry: VideoGeometry,
  [pt, ph, pw]: PatchSize,
): Tensor {
  const { latentFrames: T, height: H, width: W } = geometry;
  const channels = patches.dim(2) / (pt * ph * pw);
  return permute(device, patches.reshape([T, H, W, channels, pt, ph, pw]), [3, 0, 4, 1, 5, 2, 6]).reshape([
    1,
    channels,
    T * pt,
    H * ph,
    W * pw,
  ]);
}
