/** Filters of image resizing, and the weights that they give to source pixels. */

export interface ResizeFilter {
  /** Source pixels on each side of an output pixel's centre, where nothing is scaled down. */
  readonly support: number;
  /** Weight at a distance from the centre. */
  at(x: number): number;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** Cubic with a = −0.5. */
const BICUBIC_A = -0.5;

export const BILINEAR: ResizeFilter = {
  support: 1,
  at: (x) => Math.max(0, 1 - Math.abs(x)),
};

export const BICUBIC: ResizeFilter = {
  support: 2,
  at: (x) => {
    const t = Math.abs(x);
    if (t < 1) return ((BICUBIC_A + 2) * t - (BICUBIC_A + 3)) * t * t + 1;
    return t < 2 ? (((t - 5) * t + 8) * t - 4) * BICUBIC_A : 0;
  },
};

export const LANCZOS: ResizeFilter = {
  support: 3,
  at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0),
};

/** What one output pixel takes of a row: `weights[i]` of source pixel `start + i`. They add up to 1. */
export interface PixelWeights {
  readonly start: number;
  readonly weights: Float64Array;
}

/** Pixels of a row that lie side by side. */
export interface PixelRange {
  readonly first: number;
  readonly count: number;
}

/** Source pixels that one output pixel takes: from `start`, before `end`. */
function reach(
  source: number,
  target: number,
  filter: ResizeFilter,
  i: number,
): { start: number; end: number } {
  const scale = source / target;
  const support = filter.support * Math.max(scale, 1);
  const centre = (i + 0.5) * scale;
  return {
    start: Math.max(0, Math.trunc(centre - support + 0.5)),
    end: Math.min(source, Math.trunc(centre + support + 0.5)),
  };
}

/** Source pixels that a range of output pixels takes. */
export function sourceRange(
  source: number,
  target: number,
  filter: ResizeFilter,
  { first, count }: PixelRange,
): PixelRange {
  const { start } = reach(source, target, filter, first);
  const { end } = reach(source, target, filter, first + count - 1);
  return { first: start, count: end - start };
}

/**
 * Weights of each of `target` output pixels over `source` pixels; the filter widens where the row shrinks, so that
 * every source pixel counts (Pillow's resampling, and torch's with `antialias`).
 *
 * @param wanted which of the output pixels; default: all
 */
export function filterWeights(
  source: number,
  target: number,
  filter: ResizeFilter,
  { first, count }: PixelRange = { first: 0, count: target },
): PixelWeights[] {
  const scale = source / target;
  const spread = Math.max(scale, 1);
  return Array.from({ length: count }, (_, i) => {
    const centre = (first + i + 0.5) * scale;
    const { start, end } = reach(source, target, filter, first + i);
    const weights = Float64Array.from({ length: end - start }, (_, x) =>
      filter.at((start + x - centre + 0.5) * (1 / spread)),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { start, weights: sum === 0 ? weights : weights.map((weight) => weight / sum) };
  });
}
