/** Which published numbers belong to a model, and what caches use where nothing is given. */
import { badOption } from "../pipelines/bad-option.js";
import { type MagRatios, type MagTable, publishedMagRatios } from "./mag-ratios.js";
import type { StepCacheOptionsOf } from "./step-cache-options.js";

/** What of a model and a clip the numbers depend on. */
export interface CachedModel {
  readonly family: string;
  /** Width of a token in the transformer. */
  readonly width: number;
  readonly transformers: number;
  readonly isImageToVideo: boolean;
  /** Wan 2.2 TI2V: timesteps for each token. */
  readonly hasTokenTimesteps: boolean;
  /** Pixels of a frame. */
  readonly pixels: number;
}

/** Above this many pixels a clip is one of the 720p models. */
const LARGE_CLIP = 640 * 960;
const WIDTH_1_3B = 1536;
const WIDTH_14B = 5120;

/** @throws UsageError `BAD_OPTION` for a model without published ratios */
export function magRatiosOf(model: CachedModel): MagRatios {
  const table = magTableOf(model);
  if (table) return publishedMagRatios(table);
  throw badOption(
    "stepCache: there are no published ratios for MagCache with this model",
    "Measure them with `lvsa calibrate` (`calibrateMagRatios`), or use easycache.",
  );
}

function magTableOf({
  family,
  width,
  transformers,
  isImageToVideo,
  ...model
}: CachedModel): MagTable | undefined {
  if (family !== "wan") return undefined;
  if (model.hasTokenTimesteps) return isImageToVideo ? "wan22-ti2v-5b-i2v" : "wan22-ti2v-5b-t2v";
  if (transformers > 1) return isImageToVideo ? "wan22-i2v-a14b" : "wan22-t2v-a14b";
  if (width === WIDTH_1_3B && !isImageToVideo) return "wan21-t2v-1.3b";
  if (width !== WIDTH_14B) return undefined;
  if (!isImageToVideo) return "wan21-t2v-14b";
  return model.pixels > LARGE_CLIP ? "wan21-i2v-720p" : "wan21-i2v-480p";
}

type TeaNumbers = Required<Pick<StepCacheOptionsOf<"teacache">, "coefficients" | "input" | "threshold">>;

/** Of TeaCache4Wan2.1, for the time embedding before it is projected; the middle one of the published thresholds. */
const TEA = {
  t2v13b: { coefficients: [2396.76752, -1311.10545, 201.331979, -8.29855975, 0.137887774], threshold: 0.07 },
  t2v14b: {
    coefficients: [-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404],
    threshold: 0.15,
  },
  i2v480p: { coefficients: [-302.33167, 223.948934, -52.546397, 5.8734844, -0.201973289], threshold: 0.19 },
  i2v720p: {
    coefficients: [-114.36346466, 65.26524496, -18.82220707, 4.91518089, -0.23412683],
    threshold: 0.2,
  },
};

/** @throws UsageError `BAD_OPTION` for a model without published coefficients */
export function teaNumbersOf(model: CachedModel): TeaNumbers {
  const { family, width, transformers, isImageToVideo, hasTokenTimesteps, pixels } = model;
  const isWan21 = family === "wan" && transformers === 1 && !hasTokenTimesteps;
  const large = isImageToVideo ? (pixels > LARGE_CLIP ? TEA.i2v720p : TEA.i2v480p) : TEA.t2v14b;
  const small = isImageToVideo ? undefined : TEA.t2v13b;
  const found = !isWan21 ? undefined : width === WIDTH_14B ? large : width === WIDTH_1_3B ? small : undefined;
  if (found) return { ...found, input: "temb" };
  throw badOption(
    "stepCache: there are no published coefficients for TeaCache with this model",
    "Give coefficients and a threshold, or use easycache.",
  );
}
