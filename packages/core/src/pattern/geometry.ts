/**
 * From pixels and video frames to latent frames and tokens. The rules of one model family are data, written
 * down by its adapter; core only applies them.
 */
import { ConfigError } from "@lvsa/runtime";

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
  /** Training length in latent frames where the config does not say; a function where variants differ in it. */
  readonly referenceLatentFrames: number | ((transformerConfig: HostGeometry["transformerConfig"]) => number);
}

/** What the host knows about the loaded checkpoint. */
export interface HostGeometry {
  readonly spatialFactor?: number | undefined;
  readonly temporalFactor?: number | undefined;
  /** The transformer's `config.json`. */
  readonly transformerConfig: Readonly<Record<string, unknown>>;
}

/** Latent frames the transformer sees for `numFrames` video frames. */
export function computeLatentFrames(numFrames: number, host: HostGeometry, rules: GeometryRules): number {
  const factor = required("temporal factor of the autoencoder", host.temporalFactor ?? rules.temporalFactor);
  const latent = Math.floor((numFrames - 1) / factor) + 1;
  const joined = rules.temporalPatch ? host.transformerConfig.patch_size_t : undefined;
  return typeof joined === "number" && joined > 1 ? Math.ceil(latent / joined) : latent;
}

/** Tokens per latent frame for a video of `height` x `width` pixels. */
export function computePatchesPerFrame(
  height: number,
  width: number,
  host: HostGeometry,
  rules: GeometryRules,
): number {
  const factor = required("spatial factor of the autoencoder", host.spatialFactor ?? rules.spatialFactor);
  const cell = factor * spatialPatchSize(host.transformerConfig.patch_size, rules);
  const round = rules.rounding === "ceil" ? Math.ceil : Math.floor;
  return round(height / cell) * round(width / cell);
}

/** Latent frames the model was trained on: from the checkpoint's config where it says so. */
export function computeReferenceLatentFrames(host: HostGeometry, rules: GeometryRules): number {
  const field = rules.trainedFramesField;
  const trained = field === undefined ? undefined : host.transformerConfig[field];
  if (typeof trained === "number") return computeLatentFrames(trained, host, rules);
  const stated = rules.referenceLatentFrames;
  return typeof stated === "function" ? stated(host.transformerConfig) : stated;
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
