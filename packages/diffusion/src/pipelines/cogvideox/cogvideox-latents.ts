/** From the pipeline's latents to the autoencoder's. */
import type { Device } from "@lvsa/runtime";
import type { AutoencoderKLCogVideoX } from "../../models/autoencoders/autoencoder-kl-cogvideox.js";
import { hostLatentFrames, type LatentFrames } from "../../models/autoencoders/latent-frames.js";
import type { HostTensor } from "../video-pipeline.js";

/** `[1, T, C, h, w]` without the frames in front, and unscaled. */
export function rawLatents(
  device: Device,
  vae: AutoencoderKLCogVideoX,
  { data, shape }: HostTensor,
  padding: number,
): LatentFrames {
  const latents = { data, shape, framesFirst: true, skip: padding };
  return hostLatentFrames(device, latents, (normalized) => vae.denormalize(normalized));
}
