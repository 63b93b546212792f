/** How image conditions enter the input of the Wan transformer: as channels, or in place of the first frame. */

import { withFirstFrame } from "../image-conditions.js";

/** What an image adds to the transformer's input. */
export interface ImageCondition {
  /** Extra input channels `[20, T, h, w]` (Wan 2.1 image to video). */
  readonly channels: Float32Array | undefined;
  /** Latents of the first frame `[z, 1, h, w]` (Wan 2.2 TI2V image to video). */
  readonly firstFrame: Float32Array | undefined;
  /** Latent frames that show the images: the first, and the last where one was given. */
  readonly conditionFrames: readonly number[];
}

/** Latents with the image's channels behind them, or with its frame in place of the first one. */
export function modelInput(
  latents: Float32Array,
  shape: readonly number[],
  conditions: ImageCondition,
): { data: Float32Array; channels: number } {
  const channels = shape[1]!;
  if (conditions.firstFrame) {
    return { data: withFirstFrame(latents, conditions.firstFrame, shape), channels };
  }
  if (!conditions.channels) return { data: latents, channels };
  const data = new Float32Array(latents.length + conditions.channels.length);
  data.set(latents);
  data.set(conditions.channels, latents.length);
  return { data, channels: data.length / (latents.length / channels) };
}

/** Timestep 0 for the tokens of the given first frame, `timestep` for the others. */
export function tokenTimesteps(timestep: number, tokensPerFrame: number, frames: number): Float32Array {
  const out = new Float32Array(tokensPerFrame * frames).fill(timestep);
  out.fill(0, 0, tokensPerFrame);
  return out;
}
