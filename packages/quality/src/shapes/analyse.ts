/**
 * Reads a clip of the demo world: which background, which object, which way. Plain arithmetic on pixels, so that a model can
 * not please it other than by drawing what was asked for.
 */
import { ShapeError } from "@lvsa/runtime/errors";
import type { VideoFrames } from "@lvsa/video";
import { median } from "../statistics.js";
import { ColorVotes, mixture, squaredDistance } from "./colors.js";
import { fitMotion, type Place } from "./motion-fit.js";
import { matchShape } from "./shape-match.js";
import {
  BACKGROUND_NAMES,
  BACKGROUNDS,
  type BackgroundName,
  COLOR_NAMES,
  COLORS,
  type ColorName,
  type Motion,
  type Rgb,
  type Shape,
  WORLD_SIZE,
} from "./world.js";

export interface Reading {
  readonly background: BackgroundName;
  /** As seen, 0 to 1. */
  readonly backgroundRgb: Rgb;
  /** `none`: nothing stands out in half of the frames. */
  readonly color: ColorName | "none";
  readonly rgb: Rgb;
  /** Other colours that stand out on at least a third of the area of the first. */
  readonly otherColors: readonly ColorName[];
  readonly shape: Shape | "none";
  /** Root mean square difference from the drawn shape over the area around it, 0 to 1: about .04 when drawn. */
  readonly shapeError: number;
  /** Pixels, from the area. */
  readonly radius: number;
  readonly motion: Motion | "unclear";
  /** Pixels per frame along the fitted path. */
  readonly speed: number;
  /** Distance from the fitted path, pixels. */
  readonly motionError: number;
  /** Centre in each frame. */
  readonly places: readonly Place[];
  /** Area in each frame, pixels. */
  readonly areas: readonly number[];
}

/** Distance (RGB, 0 to 1 each) from the background below which a pixel belongs to it. */
const APART = 0.15;
/** A colour that lies so far beside every mixture of background and object is a third one. */
const BESIDE = 0.3;
/** A frame with a smaller area has no object: the smallest drawn one has about 100 pixels. */
const SMALLEST = 30;

const PIXELS = WORLD_SIZE * WORLD_SIZE;

/** @throws ShapeError `CLIP_SIZE` for a clip that is not 64x64, or has fewer than three frames */
export function analyseClip(clip: VideoFrames): Reading {
  if (clip.width !== WORLD_SIZE || clip.height !== WORLD_SIZE || clip.count < 3) {
    throw new ShapeError(
      "CLIP_SIZE",
      `the clip has ${clip.count} frames of ${clip.width}x${clip.height}, expected at least 3 of ${WORLD_SIZE}x${WORLD_SIZE}`,
    );
  }
  const frames = Array.from({ length: clip.count }, (_, t) => clip.get(t));
  const { background, backgroundRgb } = findBackground(frames);
  const [found, ...others] = findColors(frames, backgroundRgb);
  const covers = found ? frames.map((frame) => coverOf(frame, backgroundRgb, found.rgb)) : [];
  const areas = covers.map((cover) => cover.reduce((total, value) => total + value, 0));
  const places = covers.map((cover, t) => (areas[t]! < SMALLEST ? undefined : placeOf(cover)));
  // What shows in fewer than half of the frames is not the clip's object.
  if (!found || places.filter(Boolean).length < frames.length / 2) {
    return {
      background,
      backgroundRgb,
      color: "none",
      rgb: backgroundRgb,
      otherColors: [],
      shape: "none",
      shapeError: 1,
      radius: 0,
      motion: "unclear",
      speed: 0,
      motionError: 0,
      places: frames.map((_, t) => places[t]),
      areas: frames.map((_, t) => areas[t] ?? 0),
    };
  }
  const area = median(areas.filter((value) => value >= SMALLEST));
  const { shape, error, radius } = matchShape(covers, places, area);
  const fit = fitMotion(places, radius);
  return {
    background,
    backgroundRgb,
    color: found.color,
    rgb: found.rgb,
    otherColors: others.map(({ color }) => color),
    shape,
    shapeError: error,
    radius,
    motion: fit.motion,
    speed: fit.speed,
    motionError: fit.error,
    places,
    areas,
  };
}

/** The most frequent name, and the middle of what bears it. */
function findBackground(frames: readonly Uint8Array[]) {
  const votes = new ColorVotes(BACKGROUND_NAMES, BACKGROUNDS);
  // Every third pixel is enough; its place shifts from row to row.
  for (const frame of frames) for (let index = 0; index < PIXELS; index += 3) votes.add(frame, index);
  const [background] = votes.ranking();
  return { background: background!, backgroundRgb: votes.middle(background!) };
}

interface FoundColor {
  readonly color: ColorName;
  readonly rgb: Rgb;
}

/** The most frequent colour of what stands out, then others that are no mixture of it with the background. */
function findColors(frames: readonly Uint8Array[], background: Rgb): FoundColor[] {
  const inside = frames.map((frame) => insidePixels(frame, background));
  const votes = new ColorVotes(COLOR_NAMES, COLORS);
  frames.forEach((frame, t) => {
    for (const index of inside[t]!) votes.add(frame, index);
  });
  const [color] = votes.ranking();
  const most = votes.count(color!);
  // Fewer than so many in a frame are specks.
  if (most < (frames.length * SMALLEST) / 2) return [];
  const rgb = votes.middle(color!);
  const others = new ColorVotes(COLOR_NAMES, COLORS);
  frames.forEach((frame, t) => {
    for (const index of inside[t]!) {
      if (mixture(frame, index, background, rgb).beside > BESIDE) others.add(frame, index);
    }
  });
  const found = others.ranking().filter((name) => name !== color && others.count(name) >= most / 3);
  return [{ color: color!, rgb }, ...found.map((name) => ({ color: name, rgb: others.middle(name) }))];
}

/** Pixels that stand out from the background and whose four neighbours do, too: edges mix both. */
function insidePixels(frame: Uint8Array, background: Rgb): number[] {
  const stands = new Uint8Array(PIXELS);
  for (let index = 0; index < PIXELS; index++) {
    if (squaredDistance(frame, index, background) > APART * APART) stands[index] = 1;
  }
  const last = WORLD_SIZE - 1;
  const inside: number[] = [];
  for (let index = 0; index < PIXELS; index++) {
    if (!stands[index]) continue;
    const column = index % WORLD_SIZE;
    const left = column === 0 ? index + last : index - 1;
    const right = column === last ? index - last : index + 1;
    const up = (index + PIXELS - WORLD_SIZE) % PIXELS;
    const down = (index + WORLD_SIZE) % PIXELS;
    if (stands[left] && stands[right] && stands[up] && stands[down]) inside.push(index);
  }
  return inside;
}

/** How much of each pixel the object covers: where it lies between both colours; 0 for what is neither. */
function coverOf(frame: Uint8Array, background: Rgb, rgb: Rgb): Float64Array {
  const cover = new Float64Array(PIXELS);
  for (let index = 0; index < PIXELS; index++) {
    const { share, beside } = mixture(frame, index, background, rgb);
    // Small shares are what a decoder leaves of noise.
    if (beside <= BESIDE && share >= 0.15) cover[index] = share;
  }
  return cover;
}

/** Centre on the torus: the angle of the mean direction along each axis. */
function placeOf(cover: Float64Array): readonly [number, number] {
  const sums = new Float64Array(4);
  const angle = (index: number) => ((index + 0.5) * 2 * Math.PI) / WORLD_SIZE;
  const waves = Array.from(
    { length: WORLD_SIZE },
    (_, i) => [Math.cos(angle(i)), Math.sin(angle(i))] as const,
  );
  for (let row = 0; row < WORLD_SIZE; row++) {
    for (let column = 0; column < WORLD_SIZE; column++) {
      const weight = cover[row * WORLD_SIZE + column]!;
      if (weight === 0) continue;
      sums[0]! += weight * waves[column]![0];
      sums[1]! += weight * waves[column]![1];
      sums[2]! += weight * waves[row]![0];
      sums[3]! += weight * waves[row]![1];
    }
  }
  const place = (cos: number, sin: number) => {
    const turned = (Math.atan2(sin, cos) * WORLD_SIZE) / (2 * Math.PI);
    return turned < 0 ? turned + WORLD_SIZE : turned;
  };
  return [place(sums[0]!, sums[1]!), place(sums[2]!, sums[3]!)];
}
