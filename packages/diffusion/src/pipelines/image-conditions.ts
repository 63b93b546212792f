/** What families make of a picture: embeddings from an image encoder, latents from the autoencoder's encoder half. */
import {
  type Device,
  type FolderReader,
  type Tensor,
  throwIfAborted,
  type WeightSource,
} from "@lvsa/runtime";
import { componentEntries, type ModelIndex, readJson } from "../checkpoint/checkpoint-folder.js";
import { ImageProcessor } from "../images/image-processor.js";
import type { VisionEncoder } from "../models/image-encoders/vision-encoder.js";
import type { Component } from "./component.js";
import type { Run } from "./diffusion-pipeline.js";
import { assertFinite } from "./not-finite.js";
import type { HostTensor, RgbImage } from "./video-pipeline.js";
import { withWeights } from "./with-weights.js";

const ENCODER = "image_encoder";
const STOPPED = "encoding the image";

/** Opens one of the encoders of `VisionEncoder`. */
type OpenEncoder = (device: Device, source: WeightSource, config: unknown, where: string) => VisionEncoder;

/** The image side of a family: processor and encoder of a checkpoint. Its weights stream while it works. */
export class ImageEmbedder {
  readonly #device: Device;
  readonly #folder: FolderReader;
  readonly #processor: ImageProcessor;
  readonly #open: OpenEncoder;

  private constructor(device: Device, folder: FolderReader, processor: ImageProcessor, open: OpenEncoder) {
    this.#device = device;
    this.#folder = folder;
    this.#processor = processor;
    this.#open = open;
  }

  /**
   * Undefined where the checkpoint has no image encoder.
   *
   * @param processor its folder: `image_processor` or `feature_extractor`
   * @throws WeightsError `NOT_FOUND`, ConfigError for a processor that is not known
   */
  static async open(
    device: Device,
    folder: FolderReader,
    index: ModelIndex,
    processor: string,
    open: OpenEncoder,
  ): Promise<ImageEmbedder | undefined> {
    const entries = componentEntries(index);
    if (!entries.some(({ name }) => name === ENCODER)) return undefined;
    const file = `${processor}/preprocessor_config.json`;
    const config = await readJson(folder, file);
    const named = entries.find(({ name }) => name === processor)?.className;
    const { image_processor_type: own } = (config ?? {}) as { image_processor_type?: unknown };
    const className = named ?? (typeof own === "string" ? own : "that the file does not name");
    const parsed = ImageProcessor.fromConfig(config, className, file);
    return new ImageEmbedder(device, folder, parsed, open);
  }

  /** `[1, rows, width]` of each image, on the CPU. @throws WeightsError, NotFiniteError, AbortError */
  async embed(images: readonly RgbImage[], run: Run): Promise<HostTensor[]> {
    const pixels = images.map((image) => this.#processor.pixelValues(image));
    const where = `${ENCODER}/config.json`;
    const config = await readJson(this.#folder, where);
    return withWeights(
      this.#folder,
      ENCODER,
      async (source) => {
        await this.#device.releaseMemory();
        const hidden = await this.#open(this.#device, source, config, where).encode(pixels, {
          signal: run.signal,
          onProgress: (done, total) =>
            run.onStage?.({ stage: "encode-image", component: ENCODER, done, total }),
        });
        try {
          return await Promise.all(hidden.map((x) => readFinite(this.#device, x, ENCODER, "embeddings")));
        } finally {
          for (const x of hidden) x.dispose();
        }
      },
      "model",
    );
  }
}

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
  using video = device.upload(pixels, [1, 3, 1, height, width]);
  using moments = await vae.encode(video);
  const { data, shape } = await readFinite(device, moments, "vae", "latents of the image");
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

async function readFinite(device: Device, x: Tensor, component: string, what: string): Promise<HostTensor> {
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
