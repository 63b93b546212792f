/**
 * The size that HunyuanVideo 1.5 picks for an aspect ratio: about `target` squared in pixels, in whole cells.
 * Source: diffusers `pipelines/hunyuan_video1_5/image_processor.py`.
 */

/** Wider or taller than this is not offered. */
const MAX_RATIO = 4;

interface PixelSize {
  readonly height: number;
  readonly width: number;
}

/** @param cell pixels per latent cell and edge */
export function closestSize(aspect: PixelSize, target: number, cell: number): PixelSize {
  const wanted = aspect.height / aspect.width;
  // A portrait is never made taller than asked, a landscape never flatter.
  const allowed = buckets(target, cell).filter(({ ratio }) =>
    wanted >= 1 ? ratio <= wanted : ratio >= wanted,
  );
  let best = allowed[0];
  for (const bucket of allowed) {
    if (best === undefined || Math.abs(bucket.ratio - wanted) < Math.abs(best.ratio - wanted)) best = bucket;
  }
  return best ? { height: best.height, width: best.width } : { height: target, width: target };
}

/** Every way to lay out at most `(target / cell)^2` cells, from flat to tall. */
function buckets(target: number, cell: number): (PixelSize & { readonly ratio: number })[] {
  const cells = Math.round((target / cell) ** 2);
  const found: (PixelSize & { readonly ratio: number })[] = [];
  // The original walks with the longer edge first, and calls that one the height.
  let first = cells;
  let second = 1;
  while (first > 0) {
    if (Math.max(first, second) / Math.min(first, second) <= MAX_RATIO) {
      const ratio = Number((first / second).toFixed(5));
      found.push({ height: first * cell, width: second * cell, ratio });
    }
    if ((second + 1) * first <= cells) second += 1;
    else first -= 1;
  }
  return found;
}
