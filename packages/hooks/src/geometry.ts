/**
 * How a call's tokens are laid out: what the host says, else what the settings say. Both are exact. A length that
 * is a multiple of the frames, or that leaves room for text nobody mentioned, is a mismatch and not a match.
 */
import { type FallbackEvent, type FallbackReason, latentGrid, tokenGrid } from "@lvsa/core";
import type { HookSettings } from "./env-schema.js";

export interface ClipShape {
  readonly latentFrames: number;
  readonly patchesPerFrame: number;
}

export interface CallShape {
  /** Tokens of the call's sequence. */
  readonly tokens: number;
  /** Text tokens behind the video in the same sequence. Default 0. */
  readonly textTokens?: number;
  /** What the host says. */
  readonly geometry?: ClipShape;
}

export type GeometryDecision =
  | ({ readonly ok: true; readonly textTokens: number } & ClipShape)
  | {
      readonly ok: false;
      readonly reason: FallbackReason | "no_t_lat" | "geometry_detect";
      readonly details: FallbackEvent["details"];
    };

/** Tokens per latent frame that the settings name: the list, else height and width; empty where they say nothing. */
export function patchCandidates(settings: HookSettings): readonly number[] {
  if (settings.patchesPerFrame) return settings.patchesPerFrame;
  const { videoHeight, videoWidth, vaeSpatialFactor = 8, patchSize = 2 } = settings;
  if (videoHeight === undefined || videoWidth === undefined) return [];
  const factors = {
    ...{ spatialFactor: vaeSpatialFactor, temporalFactor: 1 },
    patchSize: [1, patchSize, patchSize] as const,
  };
  const latents = latentGrid({ frames: 1, height: videoHeight, width: videoWidth }, factors);
  const patches = tokenGrid(latents, factors.patchSize).patchesPerFrame;
  return patches > 0 ? [patches] : [];
}

/** Where LVSA may engage, and with which frames and tokens. */
export function resolveGeometry(call: CallShape, settings: HookSettings): GeometryDecision {
  const { tokens, textTokens = 0, geometry } = call;
  const video = tokens - textTokens;
  const candidates = patchCandidates(settings);
  const frames = settings.totalLatentFrames;
  if (geometry) {
    const { latentFrames, patchesPerFrame } = geometry;
    const fits =
      video > 0 &&
      video === latentFrames * patchesPerFrame &&
      (frames === undefined || frames === latentFrames) &&
      (candidates.length === 0 || candidates.includes(patchesPerFrame));
    if (fits) return { ok: true, latentFrames, patchesPerFrame, textTokens };
    return {
      ok: false,
      reason: "geometry_mismatch",
      details: {
        T_lat: frames ?? latentFrames,
        P: candidates.length > 0 ? candidates : patchesPerFrame,
        host: `${latentFrames}x${patchesPerFrame}`,
      },
    };
  }
  if (frames === undefined) {
    return { ok: false, reason: "no_t_lat", details: { hint: "set LVSA_TOTAL_LATENT_FRAMES" } };
  }
  if (candidates.length === 0) {
    return {
      ok: false,
      reason: "no_geometry",
      details: {
        T_lat: frames,
        hint: "set LVSA_PATCHES_PER_FRAME, or LVSA_VIDEO_HEIGHT and LVSA_VIDEO_WIDTH",
      },
    };
  }
  const patchesPerFrame = candidates.find((patches) => frames * patches === video);
  if (patchesPerFrame !== undefined) return { ok: true, latentFrames: frames, patchesPerFrame, textTokens };
  return { ok: false, reason: "geometry_detect", details: { T_lat: frames, known_ppf: candidates } };
}
