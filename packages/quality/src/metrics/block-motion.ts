/**
 * Motion between two frames by matching blocks: where did each 8x8 block go? Differences are taken from the block's mean,
 * so that changing brightness is no motion.
 */
import { mean } from "../statistics.js";

const BLOCK = 8;
const PIXELS = BLOCK * BLOCK;
/** Pixels a block is looked for, each way. */
const REACH = 6;
/** Mean absolute difference per pixel below which a block stands. */
const STANDING = 2;
/** A match must be this much better than standing still. */
const BETTER = 0.8;

export interface PairMotion {
  /** Pixels per frame, mean over blocks. */
  readonly meanMagnitude: number;
  /** Share of blocks that move. */
  readonly movingFraction: number;
  /** What the best matches leave over, 0 to 1: new content, deformation, noise. */
  readonly residual: number;
  /** The same for standing still. */
  readonly change: number;
  /** Mean (dx, dy) of the moving blocks, right and down positive; (0, 0) where none moves. */
  readonly meanVector: readonly [number, number];
  /** (dx, dy) of every block, row by row. */
  readonly vectors: readonly (readonly [number, number])[];
}

/** Displacements in the order that settles ties: shorter, then smaller dy, then smaller dx. */
const DISPLACEMENTS: readonly (readonly [number, number])[] = /* @__PURE__ */ Array.from(
  { length: (2 * REACH + 1) ** 2 },
  (_, i): readonly [number, number] => [
    (i % (2 * REACH + 1)) - REACH,
    Math.floor(i / (2 * REACH + 1)) - REACH,
  ],
).sort(([ax, ay], [bx, by]) => ax * ax + ay * ay - bx * bx - by * by || ay - by || ax - bx);

/**
 * Motion from luma frame `a` to `b`, both `[height, width]`. Frames narrower or lower than a block have none.
 */
export function blockMotion(a: Uint8Array, b: Uint8Array, width: number, height: number): PairMotion {
  const vectors: (readonly [number, number])[] = [];
  let [residual, change] = [0, 0];
  for (let y = 0; y + BLOCK <= height; y += BLOCK) {
    for (let x = 0; x + BLOCK <= width; x += BLOCK) {
      const found = matchBlock(a, b, width, height, x, y);
      vectors.push(found.vector);
      residual += found.cost;
      change += found.standing;
    }
  }
  const moving = vectors.filter(([dx, dy]) => dx !== 0 || dy !== 0);
  const pixels = vectors.length * PIXELS;
  const blocks = Math.max(1, vectors.length);
  return {
    meanMagnitude: vectors.reduce((total, [dx, dy]) => total + Math.hypot(dx, dy), 0) / blocks,
    movingFraction: moving.length / blocks,
    residual: pixels === 0 ? 0 : residual / pixels / 255,
    change: pixels === 0 ? 0 : change / pixels / 255,
    meanVector:
      moving.length === 0 ? [0, 0] : [mean(moving.map(([dx]) => dx)), mean(moving.map(([, dy]) => dy))],
    vectors,
  };
}

interface Match {
  readonly vector: readonly [number, number];
  readonly cost: number;
  readonly standing: number;
}

function matchBlock(
  a: Uint8Array,
  b: Uint8Array,
  width: number,
  height: number,
  x: number,
  y: number,
): Match {
  const total = blockSum(a, width, x, y);
  const from = y * width + x;
  // Sums of 64 differences of 64ths: whole numbers, so that ties are exact.
  const costAt = (dx: number, dy: number, best: number) => {
    const offset = total - blockSum(b, width, x + dx, y + dy);
    const to = (y + dy) * width + x + dx;
    let cost = 0;
    for (let row = 0; row < BLOCK && cost < best; row++) {
      for (let column = 0; column < BLOCK; column++) {
        const at = row * width + column;
        cost += Math.abs(PIXELS * (a[from + at]! - b[to + at]!) - offset);
      }
    }
    return cost;
  };
  const standing = costAt(0, 0, Number.POSITIVE_INFINITY);
  const still: Match = { vector: [0, 0], cost: standing / PIXELS, standing: standing / PIXELS };
  if (standing < STANDING * PIXELS * PIXELS) return still;
  let best = standing;
  let vector: readonly [number, number] = [0, 0];
  for (const [dx, dy] of DISPLACEMENTS) {
    if (x + dx < 0 || y + dy < 0 || x + dx + BLOCK > width || y + dy + BLOCK > height) continue;
    const cost = costAt(dx, dy, best);
    if (cost >= best) continue;
    best = cost;
    vector = [dx, dy];
  }
  return best > BETTER * standing ? still : { ...still, vector, cost: best / PIXELS };
}

function blockSum(frame: Uint8Array, width: number, x: number, y: number): number {
  let total = 0;
  for (let row = 0; row < BLOCK; row++) {
    const start = (y + row) * width + x;
    for (let at = start; at < start + BLOCK; at++) total += frame[at]!;
  }
  return total;
}
