/** Random scenes, and those that the demo model never saw in training. */
import { checkOptionKinds } from "@lvsa/runtime/errors";
import { randomSource } from "../statistics.js";
import {
  BACKGROUND_NAMES,
  BACKGROUNDS,
  COLOR_NAMES,
  COLORS,
  MOTIONS,
  ORBIT,
  RADIUS,
  type Rgb,
  type Scene,
  SHAPES,
  VELOCITY,
  WORLD_SIZE,
} from "./world.js";

/** Colours differ from the named ones by so much at most. */
const JITTER = 0.02;

/** Whether this combination was kept from the training: one in eleven. */
export function isHeldOut({ background, objects }: Scene): boolean {
  const { color, shape, motion } = objects[0]!;
  const index =
    7 * COLOR_NAMES.indexOf(color) +
    3 * SHAPES.indexOf(shape) +
    5 * MOTIONS.indexOf(motion) +
    BACKGROUND_NAMES.indexOf(background.name);
  return index % 11 === 0;
}

/** Scenes with one object each, the same for the same seed. `heldOut`: only combinations that training never showed. */
export function sampleScenes(
  count: number,
  seed: number,
  options: { readonly heldOut?: boolean } = {},
): Scene[] {
  checkOptionKinds({ heldOut: "boolean" }, options, "sampleScenes");
  const { heldOut = false } = options;
  const random = randomSource(seed);
  const scenes: Scene[] = [];
  while (scenes.length < count) {
    const scene = sampleScene(random);
    if (!heldOut || isHeldOut(scene)) scenes.push(scene);
  }
  return scenes;
}

function sampleScene(random: () => number): Scene {
  const pick = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)]!;
  const between = ([low, high]: readonly [number, number]) => low + (high - low) * random();
  const jitter = (rgb: Rgb) =>
    rgb.map((value) => Math.min(1, Math.max(0, value + JITTER * (2 * random() - 1)))) as unknown as Rgb;
  const background = pick(BACKGROUND_NAMES);
  const color = pick(COLOR_NAMES);
  const motion = pick(MOTIONS);
  const size = pick(["small", "large"] as const);
  const speed = pick(["slow", "fast"] as const);
  const radius = between(RADIUS[size]);
  // Orbits stay inside of the frame, bounces start inside of their box, everything else starts anywhere.
  const starts = {
    clockwise: [28, 36],
    anticlockwise: [28, 36],
    bounces: [radius, WORLD_SIZE - radius],
  } as const;
  const start = (starts as Partial<Record<string, readonly [number, number]>>)[motion] ?? [0, WORLD_SIZE];
  return {
    background: { name: background, rgb: jitter(BACKGROUNDS[background]) },
    objects: [
      {
        shape: pick(SHAPES),
        color,
        rgb: jitter(COLORS[color]),
        size,
        radius,
        motion,
        speed,
        velocity: between(VELOCITY[speed]),
        x: between(start),
        y: between(start),
        orbit: between(ORBIT),
        phase: between([0, 2 * Math.PI]),
        // Between 25 and 65 degrees of a quarter turn: a bounce is never along an axis.
        angle: (pick([0, 1, 2, 3]) * Math.PI) / 2 + (between([25, 65]) * Math.PI) / 180,
      },
    ],
  };
}
