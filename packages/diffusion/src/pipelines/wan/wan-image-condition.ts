/** What image-to-video models get besides noise. Source: diffusers `pipeline_wan_i2v.py`, `prepare_latents`. */
import { type Device, type Tensor, throwIfAborted, UsageError } from "@lvsa/runtime";
import type { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import type { Run, Settings } from "../diffusion-pipeline.js";
import { assertFinite } from "../not-finite.js";
import type { RgbImage } from "../video-pipeline.js";
import type { ImageCondition } from "./wan-model-input.js";

/** @throws UsageError when the image has another size than the video */
export function checkImageSize(image: RgbImage, height: number, width: number): void {
  if (image.width !== width || image.height !== height) {
    throw new UsageError(
      "IMAGE_SIZE",
      `the image is ${image.width}x${image.height}, the video ${width}x${height}`,
      {
        fix: "Resize the image, or choose the video's size to match it.",
      },
    );
  }
}

/** RGB bytes of an image of that size to `[3, H, W]` in [-1, 1]. */
export function preprocessImage(image: RgbImage, height: number, width: number): Float32Array {
  const area = height * width;
  const out = new Float32Array(3 * area);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) {
      const value = Math.fround(image.data[i * 3 + c]! / 255);
      out[c * area + i] = Math.fround(2 * value - 1);
    }
  }
  return out;
}

/** Normalised latents `[z, T, h, w]` of a video that shows the images at its ends and grey (0) between. */
export async function encodeImages(
  device: Device,
  vae: AutoencoderKLWan,
  images: { readonly first: Float32Array; readonly last?: Float32Array },
  numFrames: number,
  height: number,
  width: number,
): Promise<{ data: Float32Array; shape: readonly number[] }> {
  const area = height * width;
  const video = new Float32Array(3 * numFrames * area);
  for (let c = 0; c < 3; c++) {
    video.set(images.first.subarray(c * area, (c + 1) * area), c * numFrames * area);
    if (images.last) {
      video.set(images.last.subarray(c * area, (c + 1) * area), (c * numFrames + numFrames - 1) * area);
    }
  }
  const normalized = device.scope((): Tensor => {
    const moments = vae.encode(device.upload(video, [1, 3, numFrames, height, width]));
    const [, z2, T, h, w] = moments.shape as [number, number, number, number, number];
    const mean = moments.reshape([z2, T, h, w]).rows(0, z2 / 2);
    return vae.normalize(mean.reshape([1, z2 / 2, T, h, w]));
  });
  const data = await device.read(normalized);
  const { shape } = normalized;
  normalized.dispose();
  return { data, shape };
}

/** What `imageCondition` works with. */
export interface ImageConditioning {
  readonly device: Device;
  /** Loads the autoencoder. */
  readonly vae: () => Promise<AutoencoderKLWan>;
  /** Of the latents, `[1, z, T, h, w]`. */
  readonly shape: readonly [number, number, number, number, number];
  /** The image takes the place of the first frame (TI2V), instead of lying beside all of them in channels. */
  readonly replacesFirstFrame: boolean;
  readonly run: Run;
}

/** The image's part of the transformer's input; none without an image. @throws NotFiniteError, AbortError */
export async function imageCondition(
  settings: Settings,
  { device, vae: load, shape, replacesFirstFrame, run }: ImageConditioning,
): Promise<ImageCondition> {
  const { image, lastImage, numFrames, height, width } = settings;
  if (!image) return { channels: undefined, firstFrame: undefined, conditionFrames: [] };
  const first = preprocessImage(image, height, width);
  const vae = await load();
  throwIfAborted(run.signal, "encoding the image");
  const [, , T, h, w] = shape;
  if (replacesFirstFrame) {
    const { data } = await encodeImages(device, vae, { first }, 1, height, width);
    assertFinite(data, "vae", "latents of the image");
    run.onTensor?.("condition", { data: data.slice(), shape: [1, shape[1], 1, h, w] });
    return { channels: undefined, firstFrame: data, conditionFrames: [0] };
  }
  const last = lastImage && preprocessImage(lastImage, height, width);
  const images = last ? { first, last } : { first };
  const { data } = await encodeImages(device, vae, images, numFrames, height, width);
  assertFinite(data, "vae", "latents of the image");
  const mask = givenFramesMask(T, h * w, vae.temporalFactor, last !== undefined);
  const channels = new Float32Array(mask.length + data.length);
  channels.set(mask);
  channels.set(data, mask.length);
  run.onTensor?.("condition", { data: channels.slice(), shape: [1, channels.length / (T * h * w), T, h, w] });
  return { channels, firstFrame: undefined, conditionFrames: last ? [0, T - 1] : [0] };
}

/**
 * Mask channels in front of the image latents: `[4, T, h, w]` with 1 where a video frame is given. Channel j of
 * latent frame t stands for video frame 4t + j − 3 (the first latent frame is one video frame, four times).
 */
export function givenFramesMask(
  latentFrames: number,
  cells: number,
  factor: number,
  hasLast: boolean,
): Float32Array {
  const mask = new Float32Array(factor * latentFrames * cells);
  for (let j = 0; j < factor; j++) {
    const row = (t: number) =>
      mask.subarray((j * latentFrames + t) * cells, (j * latentFrames + t + 1) * cells);
    row(0).fill(1);
    if (hasLast && j === factor - 1) row(latentFrames - 1).fill(1);
  }
  return mask;
}
