/** From pixels and video frames to latent cells and tokens: the one place that counts them. */

/** Frames, rows and columns of latents, or of tokens. */
export interface GridSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** Latent frames, rows and columns that become one token. */
export type PatchSize = readonly [time: number, height: number, width: number];

/** How an autoencoder and a transformer divide a video. */
export interface GridFactors {
  /** Pixels per latent cell and edge. */
  readonly spatialFactor: number;
  /** Video frames per latent frame; the first frame stands alone. */
  readonly temporalFactor: number;
  readonly patchSize: PatchSize;
  /** Whether a partial patch at the edge is filled up and counts. Default false. */
  readonly padsPatches?: boolean;
}

export interface TokenGrid extends GridSize {
  /** Tokens of one frame. */
  readonly patchesPerFrame: number;
  readonly tokens: number;
}

/** Latent frames of a clip; the last one may be partial. */
export function latentFrameCount(numFrames: number, temporalFactor: number): number {
  return Math.floor((numFrames - 1) / temporalFactor) + 1;
}

/** Token frames of so many latent frames: a partial patch in time is always filled up. */
export function tokenFrameCount(latentFrames: number, patchFrames: number): number {
  return Math.ceil(latentFrames / patchFrames);
}

/** Rows or columns of latents, or of tokens, along an edge. */
export function cellCount(length: number, cell: number, pads = false): number {
  return pads ? Math.ceil(length / cell) : Math.floor(length / cell);
}

/** Latents of a clip of `frames` video frames and `height` x `width` pixels. */
export function latentGrid(clip: GridSize, factors: GridFactors): GridSize {
  const { spatialFactor, temporalFactor, padsPatches } = factors;
  return {
    frames: latentFrameCount(clip.frames, temporalFactor),
    height: cellCount(clip.height, spatialFactor, padsPatches),
    width: cellCount(clip.width, spatialFactor, padsPatches),
  };
}

/** Tokens of latents. */
export function tokenGrid(latents: GridSize, [time, high, wide]: PatchSize, padsPatches = false): TokenGrid {
  const frames = tokenFrameCount(latents.frames, time);
  const height = cellCount(latents.height, high, padsPatches);
  const width = cellCount(latents.width, wide, padsPatches);
  const patchesPerFrame = height * width;
  return { frames, height, width, patchesPerFrame, tokens: frames * patchesPerFrame };
}
