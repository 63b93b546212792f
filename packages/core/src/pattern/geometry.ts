/**
 * From pixels and video frames to latent frames and tokens. The rules of one model family are data, written
 * down by its adapter; core only applies them.
 */
import { ConfigError } from "@lvsa/runtime";
import { latentFrameCount, latentGrid, tokenFrameCount, tokenGrid } from "./token-grid.js";

export interface GeometryRules {
  /** Pixels per latent cell and video frames per latent frame, for hosts that do not say; undefined: required from the host. */
  readonly spatialFactor?: number;
  readonly temporalFactor?: number;
  /** Spatial patch size where the transformer config has none. */
  readonly patchSize: number;
  /** Which entry of a list-valued `patch_size` is the spatial one. Default `second`. */
  readonly patchEntry?: "second" | "last";
  /** Whether a partial patch at the edge counts. Default `floor`: it does not. */
  readonly rounding?: "floor" | "ceil";
  /** Latent frames that the transformer joins into one token frame come from `patch_size_t`. Default false. */
  readonly temporalPatch?: boolean;
  /** Config field with the number of video frames the model was trained on. */
  readonly trainedFramesField?: string;
  /** Training length in latent frames, for hosts that do not say and configs that do not either. */
  readonly referenceLatentFrames: number;
}

/** What the host knows about the loaded checkpoint. */
export interface HostGeometry {
  readonly spatialFactor?: number | undefined;
  readonly temporalFactor?: number | undefined;
  /** Token frames of the clips that the model was trained on, where the host knows its models. */
  readonly referenceLatentFrames?: number | undefined;
  /** LVSA settings that suit the checkpoint, in video frames. They lie above the adapter's, and under the user's. */
  readonly lvsa?: { readonly windowSize?: number; readonly nFirstFrames?: number } | undefined;
  /** The transformer's `config.json`. */
  readonly transformerConfig: Readonly<Record<string, unknown>>;
}

/** Latent frames the transformer sees for `numFrames` video frames. */
export function computeLatentFrames(numFrames: number, host: HostGeometry, rules: GeometryRules): number {
  const factor = required("temporal factor of the autoencoder", host.temporalFactor ?? rules.temporalFactor);
  const joined = rules.temporalPatch ? host.transformerConfig.patch_size_t : undefined;
  const patchFrames = typeof joined === "number" && joined > 1 ? joined : 1;
  return tokenFrameCount(latentFrameCount(numFrames, factor), patchFrames);
}

/** Tokens per latent frame for a video of `height` x `width` pixels. */
export function computePatchesPerFrame(
  height: number,
  width: number,
  host: HostGeometry,
  rules: GeometryRules,
): number {
  const factor = required("spatial factor of the autoencoder", host.spatialFactor ?? rules.spatialFactor);
  const patch = spatialPatchSize(host.transformerConfig.patch_size, rules);
  const padsPatches = rules.rounding === "ceil";
  const factors = {
    spatialFactor: factor,
    temporalFactor: 1,
    patchSize: [1, patch, patch],
    padsPatches,
  } as const;
  const latents = latentGrid({ frames: 1, height, width }, factors);
  return tokenGrid(latents, factors.patchSize, padsPatches).patchesPerFrame;
}

/** Latent frames the model was trained on: as the host says, else from the checkpoint's config, else the family's. */
export function computeReferenceLatentFrames(host: HostGeometry, rules: GeometryRules): number {
  if (host.referenceLatentFrames !== undefined) return host.referenceLatentFrames;
  const field = rules.trainedFramesField;
  const trained = field === undefined ? undefined : host.transformerConfig[field];
  return typeof trained === "number"
    ? computeLatentFrames(trained, host, rules)
    : rules.referenceLatentFrames;
}

function spatialPatchSize(value: unknown, rules: GeometryRules): number {
  if (value === undefined) return rules.patchSize;
  const size = Array.isArray(value) ? (rules.patchEntry === "last" ? value.at(-1) : value[1]) : value;
  if (typeof size === "number" && Number.isInteger(size) && size > 0) return size;
  throw new ConfigError(
    "INVALID_GEOMETRY",
    `patch_size in the transformer config is ${JSON.stringify(value)}; expected a positive integer or a list of them.`,
  );
}

function required(name: string, value: number | undefined): number {
  if (value !== undefined && Number.isInteger(value) && value > 0) return value;
  throw new ConfigError("INVALID_GEOMETRY", `The ${name} is ${value}; expected a positive integer.`, {
    fix: "Read it from the autoencoder's config and pass it on.",
  });
}
