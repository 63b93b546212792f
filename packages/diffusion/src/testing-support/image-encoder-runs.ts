/** What golden cases hold of image encoders: one run per picture. */
import { join } from "node:path";
import type { GoldenTensors } from "@lvsa/runtime/testing";
import { ImageProcessor } from "../images/image-processor.js";
import type { RgbImage } from "../pipelines/video-pipeline.js";
import { caseTolerance } from "./case-tolerance.js";
import type { Tolerance, WanTolerances } from "./parity.js";
import { type CaseParameters, type OpenedCase, readJson } from "./reference-case.js";

export interface ImageEncoderRun {
  /** Of its tensors. */
  readonly prefix: string;
  readonly image: RgbImage;
}

/** Which picture each run encodes. */
const PICTURES = { clip: "source_image", clip_b: "image_b", siglip: "image_resized" } as const;

/** A tensor `[height, width, 3]` of bytes. @throws Error that lists what the case has */
export function imageOf(tensors: GoldenTensors, name: string): RgbImage {
  const { data, shape } = tensors[name] ?? missing(tensors, name);
  return { data: Uint8Array.from(data as Uint8Array), height: shape[0]!, width: shape[1]! };
}

function missing(tensors: GoldenTensors, name: string): never {
  throw new Error(`no tensor "${name}"; there are ${Object.keys(tensors).join(", ")}`);
}

export function imageEncoderRuns({ tensors }: OpenedCase): ImageEncoderRun[] {
  return Object.entries(PICTURES)
    .filter(([prefix]) => tensors[`${prefix}.pixel_values`])
    .map(([prefix, picture]) => ({ prefix, image: imageOf(tensors, picture) }));
}

/** The folder of the image encoder's pictures: Wan's name for it, and HunyuanVideo's. */
export function caseImageProcessor({ checkpoint }: OpenedCase): ImageProcessor {
  const index = readJson(join(checkpoint, "model_index.json"));
  const name = index.image_processor ? "image_processor" : "feature_extractor";
  const file = `${name}/preprocessor_config.json`;
  const [, className] = index[name] as [string, string];
  return ImageProcessor.fromConfig(readJson(join(checkpoint, file)), className, file);
}

/** Of one pass of an encoder. */
export function singlePassTolerance(parameters: CaseParameters): Tolerance {
  const wan = parameters.tolerances as WanTolerances | undefined;
  return wan ? wan.float32_compute.single_pass : caseTolerance(parameters, "embeddings");
}

/** Bytes of resized pictures: the README of the cases allows one step in few values. */
export function byteDifferences(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): { worst: number; share: number } {
  if (a.length !== b.length) throw new Error(`${a.length} bytes, expected ${b.length}`);
  let worst = 0;
  let differing = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    worst = Math.max(worst, difference);
    if (difference > 0) differing += 1;
  }
  return { worst, share: differing / a.length };
}
