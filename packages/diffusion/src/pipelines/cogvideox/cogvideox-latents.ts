/** From the pipeline's latents to the autoencoder's. */
import { type Device, permute, type Tensor } from "@lvsa/runtime";
import type { AutoencoderKLCogVideoX } from "../../models/autoencoders/autoencoder-kl-cogvideox.js";
import type { HostTensor } from "../video-pipeline.js";

/** `[1, T, C, h, w]` to `[1, C, T − padding, h, w]`: without the frames in front, and unscaled. The caller's. */
export function rawLatents(
  device: Device,
  vae: AutoencoderKLCogVideoX,
  { data, shape }: HostTensor,
  padding: number,
): Tensor {
  const [, T, C, h, w] = shape as [number, number, number, number, number];
  return device.scope(() => {
    const frames = device.upload(data.subarray(padding * C * h * w), [1, T - padding, C, h, w]);
    return vae.denormalize(permute(device, frames, [0, 2, 1, 3, 4]));
  });
}
