/**
 * The sliding window of one query frame, in whole latent frames. Bounds are inclusive, as in the Python
 * original; an empty window has `lo > hi`.
 */

export interface WindowBounds {
  readonly lo: number;
  readonly hi: number;
}

/**
 * Window of `min(2 * window + 1, frames)` frames around `frame`: near the ends of the clip it is shifted
 * inwards rather than cut. `window` 0 gives the frame itself (only `windowBounds` treats 0 as "no window").
 */
export function adaptiveWindowBounds(frame: number, window: number, frames: number): WindowBounds {
  return {
    lo: Math.max(0, Math.min(frame - window, frames - 1 - 2 * window)),
    hi: Math.min(frames - 1, Math.max(frame + window, 2 * window)),
  };
}

/**
 * The adaptive window, grown one frame to the left and one to the right in turn until it holds
 * `min(2 * window + 1, frames - globalCount)` frames that are not global, or touches both ends: global
 * frames are attended anyway, so they should not use up places in the window.
 */
export function expandedWindowBounds(
  frame: number,
  window: number,
  frames: number,
  globalFrames: ReadonlySet<number>,
  globalCount: number = globalFrames.size,
): WindowBounds {
  let { lo, hi } = adaptiveWindowBounds(frame, window, frames);
  const wanted = Math.min(2 * window + 1, frames - globalCount);
  let found = 0;
  for (let f = lo; f <= hi; f++) if (!globalFrames.has(f)) found++;
  while (found < wanted && (lo > 0 || hi < frames - 1)) {
    if (lo > 0) {
      lo--;
      if (!globalFrames.has(lo)) found++;
    }
    if (found >= wanted) break;
    if (hi < frames - 1) {
      hi++;
      if (!globalFrames.has(hi)) found++;
    }
  }
  return { lo, hi };
}

export interface WindowOptions {
  /** Grow the window past global frames (`expandedWindowBounds`). */
  readonly expand: boolean;
  readonly globalFrames: ReadonlySet<number>;
  /** Default: the size of `globalFrames`. */
  readonly globalCount?: number;
}

/** The window that attention uses: empty for `window` 0 (global frames only), else expanded or adaptive. */
export function windowBounds(
  frame: number,
  window: number,
  frames: number,
  options: WindowOptions,
): WindowBounds {
  if (window === 0) return { lo: frame, hi: frame - 1 };
  if (!options.expand) return adaptiveWindowBounds(frame, window, frames);
  return expandedWindowBounds(frame, window, frames, options.globalFrames, options.globalCount);
}
