/** What families make of a picture: embeddings from an image encoder, latents from the autoencoder's encoder half. */
import { type Device, type Tensor, throwIfAborted } from "@lvsa/runtime";
import type { PixelSize } from "../images/fit-image.js";
import type { VaeTiling } from "../models/autoencoders/tiling/vae-tiling.js";
import type { Component } from "./component.js";
import { assertFinite } from "./not-finite.js";
import type { Run } from "./runs.js";
import type { HostTensor, RgbImage } from "./video-pipeline.js";

const STOPPED = "encoding the image";

/** Loads the encoder half for `body` and frees it again: it must not take memory while steps run. */
export async function withEncoder<Vae, T>(
  device: Device,
  encoder: Component<Vae>,
  run: Run,
  body: (vae: Vae) => Promise<T>,
): Promise<T> {
  // What reading prompts and pictures needed fits nothing of the autoencoder.
  await device.releaseMemory();
  try {
    const vae = await encoder.get(run);
    throwIfAborted(run.signal, STOPPED);
    const result = await body(vae);
    encoder.unload();
    await device.releaseMemory();
    return result;
  } finally {
    encoder.unload();
  }
}

/** An autoencoder as far as one frame goes. */
interface FrameEncoder {
  readonly tiling?: VaeTiling | undefined;
  /** Moments `[1, 2·C, 1, h, w]` of a video of one frame. */
  encode(video: Tensor): Tensor | Promise<Tensor>;
}

/** Posterior of one frame `[3, H, W]` in [−1, 1], both halves `[1, C, 1, h, w]` on the CPU. @throws NotFiniteError */
export async function encodeFrame(
  device: Device,
  vae: FrameEncoder,
  pixels: Float32Array,
  height: number,
  width: number,
): Promise<{ readonly mean: HostTensor; readonly logvar: HostTensor }> {
  const encode = async (size: PixelSize, crop: (planes: Float32Array) => Float32Array) => {
    using video = device.upload(crop(pixels), [1, 3, 1, size.height, size.width]);
    using moments = await vae.encode(video);
    return readFinite(device, moments, "vae", "latents of the image");
  };
  const size = { height, width };
  const tiles = vae.tiling?.encode(device, size, (tile) => encode(tile, tile.crop));
  const { data, shape } = await (tiles ?? encode(size, (planes) => planes));
  const half = [1, shape[1]! / 2, ...shape.slice(2)];
  return {
    mean: { data: data.slice(0, data.length / 2), shape: half },
    logvar: { data: data.slice(data.length / 2), shape: half },
  };
}

/** A copy of latents `[1, C, T, h, w]` whose first frame is `frame` `[C, 1, h, w]`. */
export function withFirstFrame(
  latents: Float32Array,
  frame: Float32Array,
  shape: readonly number[],
): Float32Array {
  const [, channels, frames, h, w] = shape as [number, number, number, number, number];
  const cells = h * w;
  const out = latents.slice();
  for (let c = 0; c < channels; c++) out.set(frame.subarray(c * cells, (c + 1) * cells), c * frames * cells);
  return out;
}

export async function readFinite(
  device: Device,
  x: Tensor,
  component: string,
  what: string,
): Promise<HostTensor> {
  const data = await device.read(x);
  assertFinite(data, component, what);
  return { data, shape: x.shape };
}

/** Differences in shape up to this are not worth a remark. */
const ASPECT_TOLERANCE = 0.02;

/** What stretching did to the picture. */
export function stretchNotes(
  images: readonly (RgbImage | undefined)[],
  { height, width }: { readonly height: number; readonly width: number },
): string[] {
  return images.flatMap((image, i) => {
    if (!image) return [];
    const change = (image.width * height) / (image.height * width);
    if (Math.abs(Math.log(change)) <= ASPECT_TOLERANCE) return [];
    const size = `${image.width}x${image.height}`;
    const which = i === 0 ? "image" : "last image";
    return [
      `The ${which} of ${size} was stretched to ${width}x${height}: a height and width of its own aspect ratio keep it as it is.`,
    ];
  });
}

/** What a result's metadata say of a picture; the last one's keys have a prefix. */
export function imageSettings(
  image: RgbImage | undefined,
  prefix: "" | "last_" = "",
): Record<string, string | null> {
  if (!image) return {};
  const name = image.name ?? `${image.width}x${image.height}`;
  return { [`${prefix}image`]: name, [`${prefix}image_sha256`]: image.sha256 ?? null };
}
