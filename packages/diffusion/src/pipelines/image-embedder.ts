/** Embeddings of pictures by a checkpoint's image encoder. A module of its own: it is loaded where there is one. */
import type { Device, FolderReader, WeightSource } from "@lvsa/runtime";
import { componentEntries, type ModelIndex, readJson } from "../checkpoint/checkpoint-folder.js";
import { ImageProcessor } from "../images/image-processor.js";
import type { VisionEncoder } from "../models/image-encoders/vision-encoder.js";
import { readFinite } from "./image-conditions.js";
import type { Run } from "./runs.js";
import type { HostTensor, RgbImage } from "./video-pipeline.js";
import { withWeights } from "./with-weights.js";

const ENCODER = "image_encoder";

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
