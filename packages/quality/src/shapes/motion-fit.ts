/** Which motion of the demo world explains a row of places best. */
import { mean } from "../statistics.js";
import { type Motion, modulo, reflect, WORLD_SIZE, wayOf, wrap } from "./world.js";

/** A centre on the torus, pixels; undefined in a frame without the object. */
export type Place = readonly [x: number, y: number] | undefined;

export interface MotionFit {
  /** `unclear`: no motion of this world comes near. */
  readonly motion: Motion | "unclear";
  /** Pixels per frame. */
  readonly speed: number;
  /** Root mean square distance from the fitted path, pixels; single outliers count no more than `OUTLIER`. */
  readonly error: number;
}

/** Pixels. A place farther off its path than this is as wrong as one here. */
const OUTLIER = 6;
/** Pixels: beyond, a path explains nothing. */
const UNCLEAR = 3;
/** Speeds that are tried, pixels per frame: a little more than the world has. */
const SPEEDS = /* @__PURE__ */ Array.from({ length: 29 }, (_, i) => 0.6 + 0.1 * i);
const STRAIGHT = ["left", "right", "up", "down", "still"] as const;

const cost = (dx: number, dy: number) => Math.min(OUTLIER * OUTLIER, dx * dx + dy * dy);

/** The mean place of angles on the torus, starting from a middle one: exact where they lie close together. */
function torusMean(values: readonly number[]): number {
  const origin = values[values.length >> 1]!;
  const offsets = values.map((value) => wrap(value - origin)).sort((a, b) => a - b);
  // The middle half: outliers do not pull.
  const quarter = Math.floor(offsets.length / 4);
  return origin + mean(offsets.slice(quarter, offsets.length - quarter));
}

/**
 * @param places of an object in successive frames
 * @param radius of the object, pixels: bounces turn at that distance from the edges
 */
export function fitMotion(places: readonly Place[], radius: number): MotionFit {
  const seen = places.flatMap((place, t) => (place ? [{ t, x: place[0], y: place[1] }] : []));
  if (seen.length < Math.max(3, places.length / 2)) return { motion: "unclear", speed: 0, error: OUTLIER };
  const fits = [
    ...STRAIGHT.map((motion) => fitStraight(seen, motion)),
    fitOrbit(seen, "clockwise"),
    fitOrbit(seen, "anticlockwise"),
    fitBounce(seen, radius),
  ];
  const best = fits.reduce((a, b) => (b.error < a.error ? b : a));
  return best.error <= UNCLEAR ? best : { ...best, motion: "unclear" };
}

type Seen = readonly { readonly t: number; readonly x: number; readonly y: number }[];

function fitStraight(seen: Seen, motion: (typeof STRAIGHT)[number]): MotionFit {
  const [wx, wy] = wayOf(motion)!;
  const speeds = motion === "still" ? [0] : SPEEDS;
  const fits = speeds.map((speed): MotionFit => {
    const x0 = torusMean(seen.map(({ t, x }) => x - speed * t * wx));
    const y0 = torusMean(seen.map(({ t, y }) => y - speed * t * wy));
    const costs = seen.map(({ t, x, y }) =>
      cost(wrap(x - x0 - speed * t * wx), wrap(y - y0 - speed * t * wy)),
    );
    return { motion, speed, error: Math.sqrt(mean(costs)) };
  });
  return fits.reduce((a, b) => (b.error < a.error ? b : a));
}

/** Least squares of centre and start for each turning rate; orbits of another radius than the world's do not count. */
function fitOrbit(seen: Seen, motion: "clockwise" | "anticlockwise"): MotionFit {
  const sign = motion === "clockwise" ? 1 : -1;
  let best: MotionFit = { motion, speed: 0, error: OUTLIER };
  for (let rate = 0.05; rate <= 0.34; rate += 0.005) {
    const turned = seen.map(({ t }) => [Math.cos(sign * rate * t), Math.sin(sign * rate * t)] as const);
    const [mc, ms] = [mean(turned.map(([c]) => c)), mean(turned.map(([, s]) => s))];
    const [mx, my] = [mean(seen.map(({ x }) => x)), mean(seen.map(({ y }) => y))];
    // x = cx + a cos - b sin, y = cy + a sin + b cos: with the means taken off, a and b decouple.
    let [a, b, norm] = [0, 0, 0];
    seen.forEach(({ x, y }, i) => {
      const [c, s] = [turned[i]![0] - mc, turned[i]![1] - ms];
      a += (x - mx) * c + (y - my) * s;
      b += (y - my) * c - (x - mx) * s;
      norm += c * c + s * s;
    });
    [a, b] = [a / norm, b / norm];
    const orbit = Math.hypot(a, b);
    if (orbit < 8 || orbit > 18) continue;
    const costs = seen.map(({ x, y }, i) => {
      const [c, s] = [turned[i]![0] - mc, turned[i]![1] - ms];
      return cost(x - mx - a * c + b * s, y - my - a * s - b * c);
    });
    const error = Math.sqrt(mean(costs));
    if (error < best.error) best = { motion, speed: orbit * rate, error };
  }
  return best;
}

/** Each axis is a triangular wave of its own; both speeds together lie 25 to 65 degrees from the axes. */
function fitBounce(seen: Seen, radius: number): MotionFit {
  // Components of speeds: down to the slowest at 65 degrees.
  const parts = Array.from({ length: 28 }, (_, i) => 0.3 + 0.1 * i);
  const x = bounceCosts(seen, (place) => place.x, parts, radius);
  const y = bounceCosts(seen, (place) => place.y, parts, radius);
  let best: MotionFit = { motion: "bounces", speed: 0, error: OUTLIER };
  parts.forEach((ux, i) => {
    parts.forEach((uy, j) => {
      const degrees = (Math.atan2(uy, ux) * 180) / Math.PI;
      const speed = Math.hypot(ux, uy);
      // Two degrees more than the world has: the speeds are a grid.
      if (degrees < 23 || degrees > 67 || speed < SPEEDS[0]! || speed > SPEEDS.at(-1)!) return;
      const error = Math.sqrt(x[i]! + y[j]!);
      if (error < best.error) best = { motion: "bounces", speed, error };
    });
  });
  return best;
}

/** Mean square of the best start for each speed along one axis. */
function bounceCosts(
  seen: Seen,
  of: (place: Seen[number]) => number,
  speeds: readonly number[],
  radius: number,
): number[] {
  const wall = Math.min(radius, WORLD_SIZE / 2 - 1);
  const period = 2 * (WORLD_SIZE - 2 * wall);
  return speeds.map((speed) => {
    let best = Number.POSITIVE_INFINITY;
    for (let start = 0; start < period; start += 0.5) {
      let total = 0;
      for (const place of seen) {
        total += cost(of(place) - reflect(wall + modulo(start + speed * place.t, period), wall), 0);
      }
      best = Math.min(best, total / seen.length);
    }
    return best;
  });
}
