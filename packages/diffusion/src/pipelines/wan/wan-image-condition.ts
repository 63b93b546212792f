/** What image-to-video models get besides noise. Source: diffusers `pipeline_wan_i2v.py`, `prepare_latents`. */
import { concat, type Device, permute, type Tensor } from "@lvsa/runtime";
import { imageToVideoRange, stretchImage } from "../../images/fit-image.js";
import type { AutoencoderKLWan } from "../../models/autoencoders/autoencoder-kl-wan.js";
import type { Settings } from "../clip-plan.js";
import type { Component } from "../component.js";
import { encodeFrame, withEncoder } from "../image-conditions.js";
import type { ImageEmbedder } from "../image-embedder.js";
import { assertFinite } from "../not-finite.js";
import type { EncodeRun } from "../pipeline-parts.js";
import type { Run } from "../runs.js";
import type { HostTensor, RgbImage } from "../video-pipeline.js";
import type { ImageCondition } from "./wan-model-input.js";

/** What `imageCondition` works with. */
export interface ImageConditioning {
  readonly device: Device;
  /** The autoencoder's encoder half, freed afterwards. */
  readonly encoder: Component<AutoencoderKLWan>;
  /** Of the latents, `[1, z, T, h, w]`. */
  readonly shape: readonly [number, number, number, number, number];
  /** The image takes the place of the first frame (TI2V), instead of lying beside all of them in channels. */
  readonly replacesFirstFrame: boolean;
  readonly run: Run;
}

/** The image's part of the transformer's input. @throws NotFiniteError, AbortError */
export async function imageCondition(
  image: RgbImage,
  settings: Settings,
  { device, encoder, shape, replacesFirstFrame, run }: ImageConditioning,
): Promise<ImageCondition> {
  const { lastImage, numFrames, height, width } = settings;
  const pixels = (picture: RgbImage) => imageToVideoRange(stretchImage(picture, settings));
  const [, , T, h, w] = shape;
  return withEncoder(device, encoder, run, async (vae) => {
    if (replacesFirstFrame) {
      const { mean } = await encodeFrame(device, vae, pixels(image), height, width);
      const { data } = await normalized(device, vae, mean);
      run.onTensor?.("condition", { data: data.slice(), shape: mean.shape });
      return { channels: undefined, firstFrame: data, conditionFrames: [0] };
    }
    const video = { numFrames, height, width, first: pixels(image), last: lastImage && pixels(lastImage) };
    const mean = await encodeEnds(device, vae, video, run);
    const { data } = await normalized(device, vae, mean);
    const mask = givenFramesMask(T, h * w, vae.temporalFactor, lastImage !== undefined);
    const channels = new Float32Array(mask.length + data.length);
    channels.set(mask);
    channels.set(data, mask.length);
    const all = channels.length / (T * h * w);
    run.onTensor?.("condition", { data: channels.slice(), shape: [1, all, T, h, w] });
    return { channels, firstFrame: undefined, conditionFrames: lastImage ? [0, T - 1] : [0] };
  });
}

interface EndsOfVideo {
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  /** `[3, H, W]` in [−1, 1]. */
  readonly first: Float32Array;
  readonly last: Float32Array | undefined;
}

/** Posterior mean `[1, z, T, h, w]` of a video that shows images at its ends and grey (0) between. */
export async function encodeEnds(
  device: Device,
  vae: AutoencoderKLWan,
  video: EndsOfVideo,
  run: EncodeRun,
): Promise<HostTensor> {
  const { last, ...whole } = video;
  const tiles = vae.tiling?.encode(device, whole, ({ crop, index, count, ...size }) => {
    const tile = { ...video, ...size, first: crop(video.first), last: last && crop(last) };
    return momentsOfEnds(device, vae, tile, run, { index, count });
  });
  const { data, shape } = await (tiles ?? momentsOfEnds(device, vae, video, run));
  const [, z2, ...rest] = shape as [number, number, ...number[]];
  return { data: data.slice(0, data.length / 2), shape: [1, z2 / 2, ...rest] };
}

/** Moments of one tile of `count`, or of whole frames. */
async function momentsOfEnds(
  device: Device,
  vae: AutoencoderKLWan,
  { numFrames, height, width, first, last }: EndsOfVideo,
  run: EncodeRun,
  { index, count } = { index: 0, count: 1 },
): Promise<HostTensor> {
  const frame = (pixels: Float32Array) =>
    permute(device, device.upload(pixels, [3, height, width]), [1, 2, 0]).reshape([1, height, width, 3]);
  const frames = (start: number, end: number): Tensor => {
    const begins = start === 0 ? [frame(first)] : [];
    const ends = last && end === numFrames ? [frame(last)] : [];
    const grey = end - start - begins.length - ends.length;
    const parts = [...begins, ...(grey > 0 ? [device.zeros([grey, height, width, 3])] : []), ...ends];
    return parts.length === 1 ? parts[0]! : concat(device, parts, 0);
  };
  using moments = await vae.encodeFrames(numFrames, height, width, frames, {
    ...(run.signal ? { signal: run.signal } : {}),
    onChunk: (done, total) =>
      run.onStage?.({
        ...{ stage: "encode-image", component: "vae" },
        ...{ done: index * total + done, total: count * total },
      }),
  });
  const data = await device.read(moments);
  assertFinite(data, "vae", "latents of the image");
  return { data, shape: moments.shape };
}

/** Latents as the scheduler has them. */
export async function normalized(
  device: Device,
  vae: AutoencoderKLWan,
  mean: HostTensor,
): Promise<HostTensor> {
  using raw = device.upload(mean.data, mean.shape);
  using out = vae.normalize(raw);
  return { data: await device.read(out), shape: mean.shape };
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

/** Given embeddings of images, or those of the image encoder: the rows of two images are two of a batch. */
export async function wanImageEmbeds(
  images: ImageEmbedder | undefined,
  { image, lastImage, imageEmbeds: given }: Settings,
  run: Run,
): Promise<HostTensor | undefined> {
  if (given || !images || !image) return given;
  const embeds = await images.embed(lastImage ? [image, lastImage] : [image], run);
  const [, rows, width] = embeds[0]!.shape as [number, number, number];
  const data = new Float32Array(embeds.length * rows * width);
  for (const [i, one] of embeds.entries()) data.set(one.data, i * rows * width);
  const all = { data, shape: [embeds.length, rows, width] };
  run.onTensor?.("image_embeds", { ...all, data: data.slice() });
  return all;
}
