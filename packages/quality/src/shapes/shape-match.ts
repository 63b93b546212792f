/** Which shape a cover map shows: the one whose drawing differs least. */
import type { Place } from "./motion-fit.js";
import { coverage, modulo, SHAPES, type Shape, WORLD_SIZE, wrap } from "./world.js";

/** Pixels around the centre that are compared: the largest star fits. */
const REACH = 19;
/** Frames that are compared at most: more of them do not change the answer. */
const FRAMES = 12;
/** Sizes around the one that the area gives. */
const SCALES = [0.94, 1, 1.06] as const;

export interface ShapeMatch {
  readonly shape: Shape | "none";
  /** Root mean square difference of covers, 0 to 1. */
  readonly error: number;
  readonly radius: number;
}

/** Area of a shape of radius 1, by its drawing. */
function unitArea(shape: Shape): number {
  const radius = 14;
  let total = 0;
  for (let dy = -REACH; dy <= REACH; dy++) {
    for (let dx = -REACH; dx <= REACH; dx++) total += coverage(shape, dx, dy, radius);
  }
  return total / radius ** 2;
}

/**
 * @param covers `[64, 64]` of each frame, 0 to 1
 * @param places centres
 * @param area of the object, pixels
 */
export function matchShape(
  covers: readonly Float64Array[],
  places: readonly Place[],
  area: number,
): ShapeMatch {
  let best: ShapeMatch = { shape: "none", error: Number.POSITIVE_INFINITY, radius: 0 };
  for (const shape of SHAPES) {
    for (const scale of SCALES) {
      const radius = scale * Math.sqrt(area / unitArea(shape));
      const error = Math.sqrt(difference(covers, places, shape, radius));
      if (error < best.error) best = { shape, error, radius };
    }
  }
  return best;
}

/** Mean square over frames that show the object. */
function difference(
  covers: readonly Float64Array[],
  places: readonly Place[],
  shape: Shape,
  radius: number,
): number {
  let [total, count] = [0, 0];
  const stride = Math.ceil(covers.length / FRAMES);
  covers.forEach((cover, t) => {
    const place = places[t];
    if (!place || t % stride !== 0) return;
    const [column, row] = [Math.floor(place[0]), Math.floor(place[1])];
    for (let y = row - REACH; y <= row + REACH; y++) {
      for (let x = column - REACH; x <= column + REACH; x++) {
        const drawn = coverage(shape, wrap(x + 0.5 - place[0]), wrap(y + 0.5 - place[1]), radius);
        const seen = cover[modulo(y, WORLD_SIZE) * WORLD_SIZE + modulo(x, WORLD_SIZE)]!;
        total += (drawn - seen) ** 2;
        count++;
      }
    }
  });
  return count === 0 ? Number.POSITIVE_INFINITY : total / count;
}
