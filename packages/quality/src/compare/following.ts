/** How far a clip of the demo world shows what its prompt says, window by window. */
import type { VideoFrames } from "@lvsa/video";
import { analyseClip, type Reading } from "../shapes/analyse.js";
import type { Wanted } from "../shapes/captions.js";
import { wayOf, wrap } from "../shapes/world.js";
import { mean, median } from "../statistics.js";

export type Attribute = keyof Wanted;
export const ATTRIBUTES = ["background", "color", "shape", "motion"] as const satisfies readonly Attribute[];

export interface Following {
  /** Share of windows that are right, for each attribute that the prompt names. */
  readonly right: Readonly<Partial<Record<Attribute, number>>>;
  /** Mean of `right`, 0 to 1. */
  readonly total: number;
  /** The same of the last third of the windows less that of the first; 0 for a clip of one window. */
  readonly drift: number;
  /** Median distance from frame to frame, pixels, in the last third; undefined where no object was seen. */
  readonly lateSpeed: number | undefined;
  /** Share of steps that go the prompted way by more than half a pixel; undefined where it names no straight way. */
  readonly rightWay: number | undefined;
  /** Area of the object at the end over that at the beginning; 0 when it vanished. */
  readonly massKept: number;
  /** Share of windows with more than one object. */
  readonly severalObjects: number;
}

/** @param windows of at least three frames of 64x64 pixels each */
export function judgeClip(windows: readonly VideoFrames[], wanted: Wanted): Following {
  const readings = windows.map(analyseClip);
  const attributes = ATTRIBUTES.filter((attribute) => wanted[attribute] !== undefined);
  const share = (some: readonly Reading[], attribute: Attribute) =>
    mean(some.map((reading) => (reading[attribute] === wanted[attribute] ? 1 : 0)));
  const total = (some: readonly Reading[]) => mean(attributes.map((attribute) => share(some, attribute)));
  const third = Math.max(1, Math.floor(readings.length / 3));
  const [first, last] = [readings.slice(0, third), readings.slice(-third)];
  const area = (some: readonly Reading[]) => median(some.flatMap(({ areas }) => areas));
  const way = wanted.motion === undefined ? undefined : wayOf(wanted.motion);
  const steps = readings.flatMap(stepsOf);
  const straight = way && (way[0] !== 0 || way[1] !== 0) ? way : undefined;
  return {
    right: Object.fromEntries(attributes.map((attribute) => [attribute, share(readings, attribute)])),
    total: total(readings),
    drift: readings.length === 1 ? 0 : total(last) - total(first),
    lateSpeed: speedOf(last.flatMap(stepsOf)),
    rightWay:
      straight && steps.length > 0
        ? mean(steps.map(([dx, dy]) => (dx * straight[0] + dy * straight[1] > 0.5 ? 1 : 0)))
        : straight && 0,
    massKept: area(first) === 0 ? 0 : area(last) / area(first),
    severalObjects: mean(readings.map(({ otherColors }) => (otherColors.length > 0 ? 1 : 0))),
  };
}

/** Steps of the object where it is seen in both frames. */
function stepsOf({ places }: Reading): [number, number][] {
  return places.slice(1).flatMap((place, t): [number, number][] => {
    const before = places[t];
    return place && before ? [[wrap(place[0] - before[0]), wrap(place[1] - before[1])]] : [];
  });
}

function speedOf(steps: readonly (readonly [number, number])[]): number | undefined {
  return steps.length === 0 ? undefined : median(steps.map(([dx, dy]) => Math.hypot(dx, dy)));
}
