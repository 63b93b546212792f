/** From frames and pixels to latents and tokens, and which numbers of them fit a model. */
import { latentGrid, tokenGrid } from "@lvsa/core";
import { UsageError } from "@lvsa/runtime";
import type { ModelGeometry } from "./video-model.js";

export interface VideoSize {
  /** Video frames. */
  readonly numFrames: number;
  /** Pixels. */
  readonly height: number;
  readonly width: number;
}

export interface VideoGrid extends VideoSize {
  readonly latentChannels: number;
  /** Latent frames of the video; `latentFramesPadded` with those that fill up the last token frame. */
  readonly latentFrames: number;
  readonly latentFramesPadded: number;
  readonly latentHeight: number;
  readonly latentWidth: number;
  /** Shape of the latents, in the model's own order of axes. */
  readonly latentShape: readonly [number, number, number, number, number];
  readonly patchRows: number;
  readonly patchColumns: number;
  readonly patchesPerFrame: number;
  readonly tokenFrames: number;
  readonly videoTokens: number;
}

/** Height and width must be multiples of this many pixels. */
export function sizeMultiple(geometry: ModelGeometry): number {
  return geometry.padsPatches ? geometry.vaeSpatial : geometry.vaeSpatial * geometry.patch;
}

/** Frame counts that fit are this step times k, plus 1. */
export function frameStep(geometry: ModelGeometry): number {
  return geometry.vaeTemporal;
}

/** Video frames of a clip with this many token frames. */
export function framesOfTokenFrames(tokenFrames: number, geometry: ModelGeometry): number {
  return geometry.vaeTemporal * (tokenFrames * geometry.patchT - 1) + 1;
}

/** The nearest fitting frame counts, lower first; one number where it fits already. */
export function nearestFrameCounts(numFrames: number, geometry: ModelGeometry): number[] {
  const step = frameStep(geometry);
  if (!(numFrames >= 1)) return [1];
  const lower = Math.floor((Math.floor(numFrames) - 1) / step) * step + 1;
  return lower === numFrames ? [lower] : [lower, lower + step];
}

/** The nearest fitting edges, lower first; one number where it fits already. */
export function nearestSizes(pixels: number, geometry: ModelGeometry): number[] {
  const multiple = sizeMultiple(geometry);
  if (!(pixels >= multiple)) return [multiple];
  const lower = Math.floor(pixels / multiple) * multiple;
  return lower === pixels ? [lower] : [lower, lower + multiple];
}

/**
 * Checks that a video fits the model.
 *
 * @throws UsageError `BAD_FRAME_COUNT`, `BAD_SIZE` with the nearest values that fit
 */
export function checkVideoSize(size: VideoSize, geometry: ModelGeometry): void {
  const frames = nearestFrameCounts(size.numFrames, geometry);
  if (frames[0] !== size.numFrames) {
    const step = frameStep(geometry);
    throw new UsageError(
      "BAD_FRAME_COUNT",
      `${size.numFrames} frames do not fit: the model makes ${step}k+1 (1, ${step + 1}, ${2 * step + 1}, ...).`,
      { fix: `Use ${frames.join(" or ")} ${frames.at(-1) === 1 ? "frame" : "frames"}.` },
    );
  }
  const multiple = sizeMultiple(geometry);
  const wrong = (["height", "width"] as const).filter(
    (edge) => nearestSizes(size[edge], geometry)[0] !== size[edge],
  );
  if (wrong.length > 0) {
    const seen = wrong.map((edge) => `${edge} ${size[edge]}`).join(" and ");
    throw new UsageError("BAD_SIZE", `${seen}: the model makes multiples of ${multiple} pixels.`, {
      fix: `Use ${wrong.map((edge) => `${edge} ${nearestSizes(size[edge], geometry).join(" or ")}`).join(", ")}.`,
    });
  }
}

/** @throws UsageError as `checkVideoSize` */
export function videoGrid(size: VideoSize, geometry: ModelGeometry): VideoGrid {
  checkVideoSize(size, geometry);
  const { vaeSpatial: spatialFactor, vaeTemporal: temporalFactor, patch, patchT, padsPatches } = geometry;
  const { latentChannels } = geometry;
  const { numFrames, height, width } = size;
  const patchSize = [patchT, patch, patch] as const;
  const latents = latentGrid(
    { frames: numFrames, height, width },
    { spatialFactor, temporalFactor, patchSize, padsPatches },
  );
  const tokens = tokenGrid(latents, patchSize, padsPatches);
  const { frames: latentFrames, height: latentHeight, width: latentWidth } = latents;
  const latentFramesPadded = tokens.frames * patchT;
  return {
    numFrames,
    height,
    width,
    latentChannels,
    latentFrames,
    latentFramesPadded,
    latentHeight,
    latentWidth,
    latentShape: geometry.framesFirst
      ? [1, latentFramesPadded, latentChannels, latentHeight, latentWidth]
      : [1, latentChannels, latentFramesPadded, latentHeight, latentWidth],
    patchRows: tokens.height,
    patchColumns: tokens.width,
    patchesPerFrame: tokens.patchesPerFrame,
    tokenFrames: tokens.frames,
    videoTokens: tokens.tokens,
  };
}
