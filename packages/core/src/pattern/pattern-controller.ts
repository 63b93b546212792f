/** The pattern of a running generation: what the denoising loop may change between steps. */
import { AttentionPattern } from "./attention-pattern.js";
import {
  computeAutoKeyframeInterval,
  computeBoundaryGuardFrames,
  rotationOffsetOfStep,
} from "./global-frames.js";

export interface PatternControllerOptions {
  /** Latent frames of the whole clip. */
  readonly frames: number;
  readonly patchesPerFrame: number;
  /** Half window in latent frames. */
  readonly window: number;
  readonly nFirstFrames: number;
  /** Latent frames between keyframes; null or 0: none. */
  readonly keyframeInterval: number | null;
  readonly expandWindow?: boolean;
  readonly worldSize?: number;
  readonly rank?: number;
  /** Frames whose content is given: global in every step, on top of the budget that the interval is computed for. Default: none. */
  readonly conditionFrames?: readonly number[];
  /** Used when the interval is computed anew. */
  readonly referenceLatentFrames: number;
  /** Default 1. */
  readonly sparsityScale?: number;
}

/**
 * Owns the current `AttentionPattern` and rebuilds it when a setter changes something. Whoever keeps data
 * derived from the pattern (index buffers on the GPU) compares `pattern` by identity.
 *
 * Kept as in the Python original, because its reference data fixes it:
 * - `setWindowSize` and `setSparsityScale` replace a manual interval (even "none") by the automatic one;
 * - they keep the rotation offset, which may then exceed the new interval until the next `setStep`;
 * - boundary guards stay those of the window the controller was created with.
 */
export class PatternController {
  readonly #options: PatternControllerOptions;
  readonly #guards: readonly number[];
  #window: number;
  #sparsityScale: number;
  #keyframeInterval: number | null;
  #conditionFrames: readonly number[];
  #pattern: AttentionPattern;

  /** @throws ConfigError as `AttentionPattern.build` does. */
  constructor(options: PatternControllerOptions) {
    const { frames, patchesPerFrame, window, worldSize = 1 } = options;
    this.#options = options;
    this.#window = window;
    this.#sparsityScale = options.sparsityScale ?? 1;
    this.#keyframeInterval = options.keyframeInterval;
    this.#conditionFrames = options.conditionFrames ?? [];
    const localTokens = Math.floor((frames * patchesPerFrame) / worldSize);
    this.#guards = computeBoundaryGuardFrames({ frames, localTokens, patchesPerFrame, worldSize, window });
    this.#pattern = this.#build(window, options.keyframeInterval, 0);
  }

  get pattern(): AttentionPattern {
    return this.#pattern;
  }

  get windowSize(): number {
    return this.#window;
  }

  get sparsityScale(): number {
    return this.#sparsityScale;
  }

  get keyframeInterval(): number | null {
    return this.#keyframeInterval;
  }

  /** Rotates the keyframes for denoising step `step` (0-based, step i gets offset i). True if the pattern changed. */
  setStep(step: number): boolean {
    if (!this.#keyframeInterval) return false;
    const offset = rotationOffsetOfStep(step, this.#keyframeInterval);
    if (offset === this.#pattern.rotationOffset) return false;
    this.#pattern = this.#build(this.#window, this.#keyframeInterval, offset);
    return true;
  }

  /** Half window in latent frames; 0 leaves only global frames. Recomputes the interval. True if the pattern changed. */
  setWindowSize(window: number): boolean {
    if (window === this.#window) return false;
    this.#recompute(window, this.#sparsityScale);
    return true;
  }

  /** Below 1 sparser, above 1 denser. Recomputes the interval. True if the pattern changed. */
  setSparsityScale(scale: number): boolean {
    if (scale === this.#sparsityScale) return false;
    this.#recompute(this.#window, scale);
    return true;
  }

  /** Frames whose content is given; global from now on. True if the pattern changed. */
  setConditionFrames(frames: readonly number[]): boolean {
    const current = this.#conditionFrames;
    if (frames.length === current.length && frames.every((frame, i) => frame === current[i])) return false;
    this.#pattern = this.#build(this.#window, this.#keyframeInterval, this.#pattern.rotationOffset, frames);
    this.#conditionFrames = frames;
    return true;
  }

  /** One line about the pattern, as the Python original logs it when a processor is created. */
  describe(): string {
    const p = this.#pattern;
    const firstFrame = p.frameSegments[0]!.frame;
    const lastFrame = p.frameSegments.at(-1)!.frame;
    // The original counts one frame in the middle of the rank, as if all its window frames were local.
    const { lo, hi } = p.windowBounds(Math.floor((firstFrame + lastFrame) / 2));
    let attended = p.globalFrames.length;
    for (let f = lo; f <= hi; f++) if (!p.isGlobal(f)) attended++;
    return (
      `[LVSA] total_lat_frames=${p.frames}  local_seq=${p.localTokens}  ` +
      `rank0_frames~[${firstFrame},${lastFrame}]  window=${p.window}  n_first=${p.nFirstFrames}  ` +
      `kfi=${p.keyframeInterval || "none"}  global_count=${p.globalFrames.length}  ` +
      `attended_per_frame=${attended}/${p.frames}`
    );
  }

  /** Builds before it assigns, so that bad values leave the controller as it was. */
  #recompute(window: number, sparsityScale: number): void {
    const { frames, nFirstFrames, referenceLatentFrames } = this.#options;
    const keyframeInterval = computeAutoKeyframeInterval({
      frames,
      window,
      nFirstFrames,
      referenceLatentFrames,
      sparsityScale,
    });
    this.#pattern = this.#build(window, keyframeInterval, this.#pattern.rotationOffset);
    this.#window = window;
    this.#sparsityScale = sparsityScale;
    this.#keyframeInterval = keyframeInterval;
  }

  #build(
    window: number,
    keyframeInterval: number | null,
    rotationOffset: number,
    conditionFrames = this.#conditionFrames,
  ): AttentionPattern {
    const { frames, patchesPerFrame, nFirstFrames, expandWindow, worldSize, rank } = this.#options;
    return AttentionPattern.build({
      frames,
      patchesPerFrame,
      window,
      nFirstFrames,
      keyframeInterval,
      rotationOffset,
      expandWindow: expandWindow ?? true,
      worldSize: worldSize ?? 1,
      rank: rank ?? 0,
      boundaryGuards: this.#guards,
      conditionFrames,
    });
  }
}
