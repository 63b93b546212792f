/** Prompts of the demo model: written for a scene, and read back to what they ask for. */
import { randomSource } from "../statistics.js";
import {
  BACKGROUND_NAMES,
  type BackgroundName,
  COLOR_NAMES,
  type ColorName,
  type Motion,
  type Scene,
  type Shape,
} from "./world.js";

const SHAPE_WORDS: Readonly<Record<Shape, readonly string[]>> = {
  circle: ["circle", "ball", "disc"],
  square: ["square", "box"],
  triangle: ["triangle"],
  star: ["star"],
};
const SIZE_WORDS = { small: ["small", "little", "tiny"], large: ["large", "big"] } as const;
const SPEED_WORDS = { slow: ["slowly"], fast: ["quickly", "fast"] } as const;
const VERBS = ["moves", "slides", "drifts", "goes", "travels", "glides"];
const WAYS: Readonly<Record<"left" | "right" | "up" | "down", readonly string[]>> = {
  left: ["left", "to the left", "leftwards", "from right to left"],
  right: ["right", "to the right", "rightwards", "from left to right"],
  up: ["up", "upwards", "upward", "from bottom to top"],
  down: ["down", "downwards", "downward", "from top to bottom"],
};
const STILL = ["stays still", "stands still", "does not move", "rests"];
const CIRCLES = ["circles", "goes round", "turns", "orbits", "moves in a circle"];
const BOUNCES = ["bounces", "bounces around", "bounces off the edges", "bounces off the walls"];

/** A prompt for a scene's first object that names colour, shape, motion and background, the same for the same seed. */
export function captionOf({ background, objects }: Scene, seed: number): string {
  const random = randomSource(seed);
  const pick = (words: readonly string[]) => words[Math.floor(random() * words.length)]!;
  const { color, shape, size, speed, motion } = objects[0]!;
  const sized = random() < 0.5 ? `${pick(SIZE_WORDS[size])} ` : "";
  const name = `${sized}${color} ${pick(SHAPE_WORDS[shape])}`;
  const article = name.startsWith("orange") ? "an" : "a";
  const how = random() < 0.4 ? ` ${pick(SPEED_WORDS[speed])}` : "";
  const moving = {
    still: () => pick(STILL),
    clockwise: () => `${pick(CIRCLES)}${how} clockwise`,
    anticlockwise: () => `${pick(CIRCLES)}${how} ${pick(["anticlockwise", "counterclockwise"])}`,
    bounces: () => `${pick(BOUNCES)}${how}`,
    left: () => `${pick(VERBS)}${how} ${pick(WAYS.left)}`,
    right: () => `${pick(VERBS)}${how} ${pick(WAYS.right)}`,
    up: () => `${pick(VERBS)}${how} ${pick(WAYS.up)}`,
    down: () => `${pick(VERBS)}${how} ${pick(WAYS.down)}`,
  }[motion]();
  const behind = `${pick(["on a", "over a", "against a", "in front of a"])} ${background.name} background`;
  const text = pick([
    `${article} ${name} ${moving} ${behind}`,
    `${behind}, ${article} ${name} ${moving}`,
    `${article} ${name} that ${moving} ${behind}`,
    `the ${name} ${moving} ${behind}`,
  ]);
  return text[0]!.toUpperCase() + text.slice(1);
}

/** What a prompt asks for. Left out: it does not say. */
export interface Wanted {
  readonly color?: ColorName;
  readonly shape?: Shape;
  readonly motion?: Motion;
  readonly background?: BackgroundName;
}

/**
 * Reads a prompt of the demo model.
 *
 * @returns undefined for one that says nothing of this world, or speaks of several objects: it can not be judged
 */
export function readCaption(text: string): Wanted | undefined {
  const words = ` ${text.toLowerCase().replace(/[^a-z]+/g, " ")} `;
  const has = (phrase: string) => words.includes(` ${phrase} `);
  // "Moves in a circle" is a way, not a thing.
  const things = words.replaceAll(" in a circle ", " ");
  const shapes = (Object.keys(SHAPE_WORDS) as Shape[]).filter((shape) =>
    SHAPE_WORDS[shape].some((word) => things.includes(` ${word} `)),
  );
  const colors = COLOR_NAMES.filter(has);
  const backgrounds = BACKGROUND_NAMES.filter((name) => has(`${name} background`));
  if (shapes.length > 1 || colors.length > 1 || backgrounds.length > 1) return undefined;
  const motion = readMotion(words, has);
  const wanted: Wanted = {
    ...(colors[0] ? { color: colors[0] } : {}),
    ...(shapes[0] ? { shape: shapes[0] } : {}),
    ...(motion ? { motion } : {}),
    ...(backgrounds[0] ? { background: backgrounds[0] } : {}),
  };
  return Object.keys(wanted).length > 0 ? wanted : undefined;
}

/** Longer phrases first: "from right to left" holds "right". */
function readMotion(words: string, has: (phrase: string) => boolean): Motion | undefined {
  if (has("anticlockwise") || has("counterclockwise")) return "anticlockwise";
  if (has("clockwise")) return "clockwise";
  if (/ bounc(es|ing) /.test(words)) return "bounces";
  if (/ (still|rests|resting|does not move|not moving) /.test(words)) return "still";
  const ways = Object.entries(WAYS).flatMap(([way, phrases]) =>
    phrases.map((phrase) => ({ way: way as Motion, phrase })),
  );
  ways.sort((a, b) => b.phrase.length - a.phrase.length);
  return ways.find(({ phrase }) => has(phrase))?.way;
}
