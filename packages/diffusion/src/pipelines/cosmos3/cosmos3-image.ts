/** The picture of image to video, which is the first latent frame. Source: diffusers `pipeline_cosmos3_omni.py`, `prepare_latents`. */
import type { Device } from "@lvsa/runtime";
import { coverImageInFloat, type PixelSize } from "../../images/fit-image.js";
import type { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import type { Component } from "../component.js";
import { encodeFrame, withEncoder } from "../image-conditions.js";
import type { Run } from "../runs.js";
import type { HostTensor, RgbImage } from "../video-pipeline.js";

/**
 * Latents `[1, C, 1, h, w]` of the picture, as the scheduler has them. diffusers encodes a clip that repeats it; the
 * encoder looks back only, so that one frame gives the same. Listeners hear of `image_preprocessed` and `cond_latents`.
 */
export async function firstFrameLatents(
  device: Device,
  encoder: Component<AutoencoderKLWan>,
  image: RgbImage,
  { height, width }: PixelSize,
  run: Run,
): Promise<HostTensor> {
  const pixels = coverImageInFloat(image, { height, width });
  run.onTensor?.("image_preprocessed", { data: pixels.slice(), shape: [1, 3, height, width] });
  return withEncoder(device, encoder, run, async (vae) => {
    const { mean } = await encodeFrame(device, vae, pixels, height, width);
    using raw = device.upload(mean.data, mean.shape);
    using normalized = vae.normalize(raw);
    const data = await device.read(normalized);
    run.onTensor?.("cond_latents", { data: data.slice(), shape: mean.shape });
    return { data, shape: mean.shape };
  });
}
