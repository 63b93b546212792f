/** Which frames every query attends to: leading frames, periodic keyframes and, between ranks, boundary guards. */
import { UsageError } from "@lvsa/runtime";

export interface AutoKeyframeOptions {
  /** Latent frames of the clip. */
  readonly frames: number;
  /** Half window in latent frames. */
  readonly window: number;
  /** Leading latent frames that are always attended. */
  readonly nFirstFrames: number;
  /** Latent frames the model was trained on: the budget of attended frames per query. */
  readonly referenceLatentFrames: number;
  /** Multiplies the budget: below 1 sparser, above 1 denser. Default 1. */
  readonly sparsityScale?: number;
}

/**
 * Keyframe interval (latent frames) at which a query attends to about `referenceLatentFrames *
 * sparsityScale` frames. Clips that fit the budget get 1: every frame is global.
 *
 * Two rules compete and the larger interval wins, exactly as in the Python original. Two consequences of
 * its rules are kept because the reference data fixes them: just above the reference length the second rule can
 * leave fewer attended frames than the budget, and `window` 0 is counted as one window frame although that
 * window is empty.
 *
 * @throws ConfigError when the scaled budget is not a finite number.
 */
export function computeAutoKeyframeInterval(options: AutoKeyframeOptions): number {
  const { frames, window, nFirstFrames, referenceLatentFrames, sparsityScale = 1 } = options;
  const scaled = referenceLatentFrames * sparsityScale;
  if (!Number.isFinite(scaled)) {
    throw new UsageError(
      "INVALID_SPARSITY_SCALE",
      `The sparsity scale is ${sparsityScale} with ${referenceLatentFrames} reference frames; their product must be a finite number.`,
      { fix: "Use a scale such as 0.7 (sparser), 1 (default) or 1.5 (denser)." },
    );
  }
  const budget = Math.max(nFirstFrames + 1, Math.trunc(scaled));
  if (frames <= budget) return 1;

  // Rule 1: the largest interval that still leaves enough global frames beside a full window.
  const wantedGlobals = Math.max(nFirstFrames, budget - Math.min(2 * window + 1, frames));
  const leading = Math.max(0, Math.min(nFirstFrames, frames));
  let byCount = 1;
  for (let interval = frames; interval >= 1; interval--) {
    // Leading frames, plus the multiples of the interval that lie after them.
    const globals = leading + Math.ceil(frames / interval) - Math.ceil(leading / interval);
    if (globals >= wantedGlobals) {
      byCount = interval;
      break;
    }
  }

  // Rule 2: spread what the budget leaves after window and leading frames evenly over the clip. It keeps
  // clips just above the reference length sparse, where rule 1 would fall back to every frame.
  const mandatory = 2 * window + nFirstFrames;
  const toCover = Math.max(frames - mandatory, budget - mandatory);
  const bySpread = Math.ceil(toCover / Math.max(budget - mandatory, 1));
  return Math.max(byCount, bySpread);
}

export interface GlobalFrameOptions {
  readonly frames: number;
  readonly nFirstFrames: number;
  /** Latent frames between keyframes; null, 0 or a negative number: no periodic keyframes. */
  readonly keyframeInterval: number | null;
  /** Shift of the periodic keyframes; they wrap around the clip. Default 0. */
  readonly rotationOffset?: number;
}

/**
 * Sorted global frames: the first `nFirstFrames`, plus `ceil(frames / keyframeInterval)` periodic ones from
 * `rotationOffset` on, modulo `frames`. The number of periodic frames is the same at every offset, but their
 * union with the leading frames is not (frames 21, interval 4: 6 global frames at offset 0, 7 at offset 3).
 * The Python original behaves the same way.
 */
export function computeGlobalFrames(options: GlobalFrameOptions): number[] {
  const { frames, nFirstFrames, keyframeInterval, rotationOffset = 0 } = options;
  const found = new Set<number>();
  for (let f = 0; f < Math.min(nFirstFrames, frames); f++) found.add(f);
  if (keyframeInterval !== null && keyframeInterval > 0) {
    const count = Math.ceil(frames / keyframeInterval);
    for (let i = 0; i < count; i++) {
      const f = (rotationOffset + i * keyframeInterval) % frames;
      found.add(f < 0 ? f + frames : f);
    }
  }
  return [...found].sort((a, b) => a - b);
}

/** Offset of the periodic keyframes in denoising step `step` (0-based): step i uses offset i. */
export function rotationOffsetOfStep(step: number, keyframeInterval: number | null): number {
  return keyframeInterval !== null && keyframeInterval > 0 ? step % keyframeInterval : 0;
}

export interface BoundaryGuardOptions {
  readonly frames: number;
  /** Tokens per rank. */
  readonly localTokens: number;
  readonly patchesPerFrame: number;
  readonly worldSize: number;
  readonly window: number;
}

/**
 * Sorted frames within `window` of a boundary between two ranks. They become global, so that queries beside
 * the boundary see the same neighbours as they would on one device.
 */
export function computeBoundaryGuardFrames(options: BoundaryGuardOptions): number[] {
  const { frames, localTokens, patchesPerFrame, worldSize, window } = options;
  const guards = new Set<number>();
  for (let rank = 1; rank < worldSize; rank++) {
    const boundary = Math.floor((rank * localTokens) / patchesPerFrame);
    const end = Math.min(frames, boundary + window + 1);
    for (let f = Math.max(0, boundary - window); f < end; f++) guards.add(f);
  }
  return [...guards].sort((a, b) => a - b);
}
