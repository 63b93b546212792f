/** The picture of image to video: scaled to cover the video, encoded twice. Source: diffusers `pipeline_hunyuan_video1_5_image2video.py`. */
import type { Device } from "@lvsa/runtime";
import { coverImage, imageToVideoRange, type PixelSize } from "../../images/fit-image.js";
import type { AutoencoderKLHunyuanVideo15 } from "../../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import type { Component } from "../component.js";
import { encodeFrame, withEncoder } from "../image-conditions.js";
import type { ImageEmbedder } from "../image-embedder.js";
import type { Run } from "../runs.js";
import type { HostTensor, RgbImage } from "../video-pipeline.js";

export interface HunyuanImage {
  /** `[1, rows, image_embed_dim]` */
  readonly embeds: HostTensor;
  /** Of the picture `[1, C, 1, h, w]`, as the scheduler has latents. */
  readonly latents: HostTensor;
}

/** What encodes pictures. */
export interface ImageParts {
  readonly images: ImageEmbedder;
  readonly encoder: Component<AutoencoderKLHunyuanVideo15>;
}

/** Both encoders see the cut picture. Listeners hear of `image_embeds` and `image_latents`. */
export async function encodeImage(
  device: Device,
  { images, encoder }: ImageParts,
  image: RgbImage,
  size: PixelSize,
  run: Run,
): Promise<HunyuanImage> {
  const picture = coverImage(image, size);
  const [embeds] = await images.embed([picture], run);
  const pixels = imageToVideoRange(picture);
  const latents = await withEncoder(device, encoder, run, async (vae) => {
    const { mean } = await encodeFrame(device, vae, pixels, size.height, size.width);
    const factor = vae.config.scaling_factor;
    return { data: mean.data.map((x) => x * factor), shape: mean.shape };
  });
  run.onTensor?.("image_embeds", { ...embeds!, data: embeds!.data.slice() });
  run.onTensor?.("image_latents", { ...latents, data: latents.data.slice() });
  return { embeds: embeds!, latents };
}

/**
 * The transformer's input `[1, channels, T, h, w]`: noisy latents, condition latents and mask; the last two are zero
 * but for the first frame of image to video.
 */
export function modelInput(
  { data, shape }: HostTensor,
  image: HostTensor | undefined,
  channels: number,
): HostTensor {
  const [, own, frames, h, w] = shape as [number, number, number, number, number];
  const cells = h * w;
  const channel = frames * cells;
  const out = new Float32Array(channels * channel);
  out.set(data);
  if (image) {
    for (let c = 0; c < own; c++) {
      out.set(image.data.subarray(c * cells, (c + 1) * cells), (own + c) * channel);
    }
    out.fill(1, 2 * own * channel, 2 * own * channel + cells);
  }
  return { data: out, shape: [1, channels, frames, h, w] };
}
