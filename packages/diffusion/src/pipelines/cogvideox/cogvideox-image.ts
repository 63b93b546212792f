/** The picture of image to video: a sample of its posterior beside the first latent frame. Source: diffusers `prepare_latents`. */
import { type Device, throwIfAborted } from "@lvsa/runtime";
import { imageToVideoRange, stretchImage } from "../../images/fit-image.js";
import type { AutoencoderKLCogVideoX } from "../../models/autoencoders/autoencoder-kl-cogvideox.js";
import { encodeFrame } from "../image-conditions.js";
import type { HostTensor, RgbImage } from "../video-pipeline.js";

/** Outside of these diffusers cuts log variances. */
const LOGVAR = { min: -30, max: 20 };

/**
 * Image latents `[1, T, C, h, w]`: the picture in the first frame, zeros after it.
 *
 * @param shape of the latents
 * @param noise of the sample, `[1, C, 1, h, w]`
 * @param onTensor hears of `image_mean`, `image_logvar`, `image_latents`
 */
export async function imageLatents(
  device: Device,
  vae: AutoencoderKLCogVideoX,
  image: RgbImage,
  { height, width }: { readonly height: number; readonly width: number },
  { shape, noise }: { readonly shape: readonly number[]; readonly noise: HostTensor },
  { signal, onTensor }: { signal?: AbortSignal; onTensor?: (name: string, tensor: HostTensor) => void } = {},
): Promise<HostTensor> {
  const pixels = imageToVideoRange(stretchImage(image, { height, width }));
  const { mean, logvar } = await encodeFrame(device, vae, pixels, height, width);
  throwIfAborted(signal, "encoding the image");
  const { scaling_factor: factor, invert_scale_latents: isInverted } = vae.config;
  const scale = isInverted ? 1 / factor : factor;
  const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const clamped = logvar.data.map((x) => Math.min(LOGVAR.max, Math.max(LOGVAR.min, x)));
  for (let i = 0; i < mean.data.length; i++) {
    const deviation = Math.fround(Math.exp(clamped[i]! / 2));
    data[i] = scale * Math.fround(mean.data[i]! + Math.fround(deviation * noise.data[i]!));
  }
  onTensor?.("image_mean", mean);
  onTensor?.("image_logvar", { ...logvar, data: clamped });
  onTensor?.("image_latents", { data: data.slice(), shape });
  return { data, shape };
}

/** `[1, T, 2·C, h, w]`: channels of the image behind those of each noisy frame. */
export function withImageChannels(latents: HostTensor, image: HostTensor | undefined): HostTensor {
  if (!image) return latents;
  const [, frames, channels, h, w] = latents.shape as [number, number, number, number, number];
  const size = channels * h * w;
  const data = new Float32Array(2 * latents.data.length);
  for (let t = 0; t < frames; t++) {
    data.set(latents.data.subarray(t * size, (t + 1) * size), 2 * t * size);
    data.set(image.data.subarray(t * size, (t + 1) * size), (2 * t + 1) * size);
  }
  return { data, shape: [1, frames, 2 * channels, h, w] };
}
