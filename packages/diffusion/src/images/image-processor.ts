/**
 * `preprocessor_config.json`: from an image to what an image encoder sees. Source: transformers `CLIPImageProcessor` and
 * `SiglipImageProcessor`, the ones that work with Pillow.
 */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";
import { parseConfig } from "../models/model-config.js";
import type { HostTensor, RgbImage } from "../pipelines/video-pipeline.js";
import { type PixelSize, resizeAndCrop } from "./fit-image.js";
import { BICUBIC, BILINEAR, LANCZOS, type ResizeFilter } from "./resize-filters.js";
import { resizeImage } from "./resize-image.js";

/** More than any encoder takes, and few enough that a file from elsewhere allocates little. */
const MAX_EDGE = 4096;

const edge = z.number().int().min(1).max(MAX_EDGE);
const exactSize = z.looseObject({ height: edge, width: edge });
const perColour = z.array(z.number()).length(3);
const deviation = z.array(z.number().positive()).length(3);
const PIXEL = 1 / 255;

/** By the numbers of Pillow. */
const FILTERS: Readonly<Record<number, ResizeFilter>> = { 1: LANCZOS, 2: BILINEAR, 3: BICUBIC };

const common = {
  do_resize: z.boolean().default(true),
  resample: z.number().int().default(3),
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().positive().default(PIXEL),
  do_normalize: z.boolean().default(true),
};

const clip = z.looseObject({
  ...common,
  size: z
    .union([edge.transform((length) => ({ shortest_edge: length })), z.looseObject({ shortest_edge: edge })])
    .or(exactSize)
    .default({ shortest_edge: 224 }),
  do_center_crop: z.boolean().default(true),
  crop_size: z
    .union([edge.transform((length) => ({ height: length, width: length })), exactSize])
    .default({ height: 224, width: 224 }),
  image_mean: perColour.default([0.48145466, 0.4578275, 0.40821073]),
  image_std: deviation.default([0.26862954, 0.26130258, 0.27577711]),
});

const siglip = z.looseObject({
  ...common,
  size: exactSize.default({ height: 224, width: 224 }),
  image_mean: perColour.default([0.5, 0.5, 0.5]),
  image_std: deviation.default([0.5, 0.5, 0.5]),
});

/** Named in `model_index.json` or in the file itself; `Fast` is the same with another library. */
const CLASSES = /^(CLIP|Siglip)(ImageProcessor(Fast)?|FeatureExtractor)$/;

interface Steps {
  readonly resize: ((image: RgbImage) => PixelSize) | undefined;
  readonly filter: ResizeFilter;
  readonly crop: PixelSize | undefined;
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

export class ImageProcessor {
  readonly #steps: Steps;

  private constructor(steps: Steps) {
    this.#steps = steps;
  }

  /**
   * @param config parsed `preprocessor_config.json`
   * @param named class in `model_index.json`
   * @throws ConfigError `BAD_CONFIG`, `UNSUPPORTED_CONFIG`
   */
  static fromConfig(config: unknown, named: string, where: string): ImageProcessor {
    const kind = CLASSES.exec(named)?.[1];
    if (kind === undefined) throw unsupported(`the image processor ${named}`, where);
    const parsed = parseConfig(kind === "CLIP" ? clip : siglip, config, named, where);
    const { size, resample } = parsed as { size: Record<string, number>; resample: number };
    const filter = FILTERS[resample];
    if (parsed.do_resize && !filter) throw unsupported(`${named} with resample ${resample}`, where);
    const { shortest_edge: shortest, height = 0, width = 0 } = size;
    const { do_center_crop: crops, crop_size: crop } = parsed as Partial<z.infer<typeof clip>>;
    return new ImageProcessor({
      resize: parsed.do_resize
        ? (image) => (shortest === undefined ? { height, width } : withShortestEdge(image, shortest))
        : undefined,
      filter: filter ?? BICUBIC,
      crop: crops ? crop : undefined,
      rescale: parsed.do_rescale ? parsed.rescale_factor : 1,
      mean: parsed.do_normalize ? parsed.image_mean : [0, 0, 0],
      deviation: parsed.do_normalize ? parsed.image_std : [1, 1, 1],
    });
  }

  /** The image before it is cut, of which `pixelValues` are made. */
  resized(image: RgbImage): RgbImage {
    const { height, width } = this.#steps.resize?.(image) ?? image;
    return resizeImage(image, width, height, this.#steps.filter);
  }

  #fitted(image: RgbImage): RgbImage {
    const { resize, filter, crop } = this.#steps;
    if (!crop) return this.resized(image);
    const size = resize?.(image) ?? image;
    const top = Math.floor((size.height - crop.height) / 2);
    const left = Math.floor((size.width - crop.width) / 2);
    return resizeAndCrop(image, size, filter, { left, top, height: crop.height, width: crop.width });
  }

  /** `[1, 3, H, W]`, what the encoder sees. @throws ConfigError `BAD_IMAGE` as `resizeImage` */
  pixelValues(image: RgbImage): HostTensor {
    const { rescale, mean, deviation: std } = this.#steps;
    const { data, height, width } = this.#fitted(image);
    const area = height * width;
    const out = new Float32Array(3 * area);
    for (let c = 0; c < 3; c++) {
      const from = Math.fround(mean[c]!);
      const over = Math.fround(std[c]!);
      for (let i = 0; i < area; i++) {
        out[c * area + i] = Math.fround(Math.fround(data[i * 3 + c]! * rescale) - from) / over;
      }
    }
    return { data: out, shape: [1, 3, height, width] };
  }
}

/** The other edge is cut to a whole number, not rounded. */
function withShortestEdge({ height, width }: RgbImage, shortest: number): PixelSize {
  return width <= height
    ? { width: shortest, height: Math.floor((shortest * height) / width) }
    : { height: shortest, width: Math.floor((shortest * width) / height) };
}

function unsupported(what: string, where: string): ConfigError {
  return new ConfigError("UNSUPPORTED_CONFIG", `${what} is not supported`, {
    where,
    fix: "Use the file of the published checkpoint: known are CLIPImageProcessor and SiglipImageProcessor.",
  });
}
