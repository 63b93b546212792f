/**
 * The world of the demo model: what a scene is and how it is drawn. The twin of `training/demo-wan/world.py`, which the
 * model was trained on; `fixtures/demo-world` ties both together.
 *
 * A scene is one plain background and one or two moving shapes. It goes on for ever: straight motion wraps round the edges,
 * orbits never end, bounces reflect. So a prompt means the same at every length. Coordinates are pixels of a 64x64 frame,
 * x to the right, y down; the centre of the first pixel is (0.5, 0.5). Colours are RGB from 0 to 1.
 */

/** Pixels per side. */
export const WORLD_SIZE = 64;

export type Rgb = readonly [number, number, number];

export const COLORS = {
  red: [0.9, 0.1, 0.1],
  green: [0.05, 0.55, 0.15],
  blue: [0.15, 0.3, 0.95],
  yellow: [0.98, 0.88, 0.1],
  purple: [0.55, 0.1, 0.75],
  orange: [1, 0.52, 0.05],
  white: [1, 1, 1],
  cyan: [0.1, 0.85, 0.9],
} as const satisfies Record<string, Rgb>;

export const BACKGROUNDS = {
  black: [0.03, 0.03, 0.03],
  gray: [0.5, 0.5, 0.5],
  navy: [0.05, 0.08, 0.38],
  pink: [1, 0.65, 0.75],
  brown: [0.42, 0.24, 0.1],
  lime: [0.6, 0.95, 0.35],
} as const satisfies Record<string, Rgb>;

export const SHAPES = ["circle", "square", "triangle", "star"] as const;
export const MOTIONS = [
  "left",
  "right",
  "up",
  "down",
  "still",
  "clockwise",
  "anticlockwise",
  "bounces",
] as const;

export type ColorName = keyof typeof COLORS;
export type BackgroundName = keyof typeof BACKGROUNDS;
export type Shape = (typeof SHAPES)[number];
export type Motion = (typeof MOTIONS)[number];

export const COLOR_NAMES = Object.keys(COLORS) as ColorName[];
export const BACKGROUND_NAMES = Object.keys(BACKGROUNDS) as BackgroundName[];

/** Pixels, from and to. */
export const RADIUS = { small: [7, 9], large: [11, 14] } as const;
/** Pixels per frame, from and to. */
export const VELOCITY = { slow: [1, 1.6], fast: [2, 3] } as const;
/** Pixels, from and to. */
export const ORBIT = [10, 16] as const;

export interface SceneObject {
  readonly shape: Shape;
  readonly color: ColorName;
  /** As drawn: near the named colour. */
  readonly rgb: Rgb;
  readonly size: keyof typeof RADIUS;
  readonly radius: number;
  readonly motion: Motion;
  readonly speed: keyof typeof VELOCITY;
  /** Pixels per frame. */
  readonly velocity: number;
  /** Centre at frame 0; of the orbit where it circles. */
  readonly x: number;
  readonly y: number;
  /** Radius of the orbit. */
  readonly orbit: number;
  /** Where on the orbit it starts, radians. */
  readonly phase: number;
  /** Direction of a bouncing object, radians. */
  readonly angle: number;
}

export interface Scene {
  readonly background: { readonly name: BackgroundName; readonly rgb: Rgb };
  /** Later ones cover earlier ones. */
  readonly objects: readonly SceneObject[];
}

/** Remainder that is never negative. */
export const modulo = (value: number, divisor: number) => ((value % divisor) + divisor) % divisor;

/** A difference of places on the torus, from -32 up to 32. */
export const wrap = (difference: number) => modulo(difference + WORLD_SIZE / 2, WORLD_SIZE) - WORLD_SIZE / 2;

const WAYS = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1], still: [0, 0] } as const;

/** Unit step of straight motions; undefined for the others. */
export function wayOf(motion: Motion): readonly [number, number] | undefined {
  return Object.hasOwn(WAYS, motion) ? WAYS[motion as keyof typeof WAYS] : undefined;
}

/** Centre of an object at a frame (0 is the first; parts of frames are fine). */
export function positionAt(object: SceneObject, frame: number): readonly [x: number, y: number] {
  const { motion, x, y, orbit } = object;
  const travelled = object.velocity * frame;
  const way = wayOf(motion);
  if (way) return [modulo(x + travelled * way[0], WORLD_SIZE), modulo(y + travelled * way[1], WORLD_SIZE)];
  if (motion === "bounces") {
    return [
      reflect(x + travelled * Math.cos(object.angle), object.radius),
      reflect(y + travelled * Math.sin(object.angle), object.radius),
    ];
  }
  // y points down, so that a growing angle is clockwise on the screen.
  const angle = object.phase + (travelled / orbit) * (motion === "clockwise" ? 1 : -1);
  return [modulo(x + orbit * Math.cos(angle), WORLD_SIZE), modulo(y + orbit * Math.sin(angle), WORLD_SIZE)];
}

/** A place that walls at `radius` and `64 - radius` hold in. */
export function reflect(value: number, radius: number): number {
  const length = WORLD_SIZE - 2 * radius;
  const along = modulo(value - radius, 2 * length);
  return radius + (along <= length ? along : 2 * length - along);
}

const SQUARE_HALF = 0.85;
const TRIANGLE_INRADIUS = 0.66;
const STAR_OUTER = 1.3;
const STAR_INNER = 0.58;
const TENTH = Math.PI / 5;

/** The edge from a star's outer tip to its inner corner: outward normal, and distance from the centre. */
const STAR_EDGE = /* @__PURE__ */ (() => {
  const [ix, iy] = [STAR_INNER * Math.cos(TENTH), STAR_INNER * Math.sin(TENTH)];
  const [ex, ey] = [ix - STAR_OUTER, iy];
  const length = Math.hypot(ex, ey);
  const [nx, ny] = [ey / length, -ex / length];
  return { nx, ny, offset: nx * STAR_OUTER };
})();

/** Signed distance in pixels from the edge of a shape of radius `radius` around (0, 0), negative inside. */
export function distanceTo(shape: Shape, dx: number, dy: number, radius: number): number {
  switch (shape) {
    case "circle":
      return Math.hypot(dx, dy) - radius;
    case "square":
      return Math.max(Math.abs(dx), Math.abs(dy)) - SQUARE_HALF * radius;
    case "triangle":
      return Math.max(dy, (Math.sqrt(3) / 2) * Math.abs(dx) - dy / 2) - TRIANGLE_INRADIUS * radius;
    case "star": {
      // Five tips, the first one up: folded into half a tip, it is one straight edge.
      const angle = Math.abs(modulo(Math.atan2(dx, -dy) + TENTH, 2 * TENTH) - TENTH);
      const r = Math.hypot(dx, dy);
      return (
        STAR_EDGE.nx * r * Math.cos(angle) + STAR_EDGE.ny * r * Math.sin(angle) - STAR_EDGE.offset * radius
      );
    }
  }
}

/** Share of a pixel that a shape covers, its edge soft over one pixel. */
export function coverage(shape: Shape, dx: number, dy: number, radius: number): number {
  return Math.min(1, Math.max(0, 0.5 - distanceTo(shape, dx, dy, radius)));
}

/** One frame, `[64, 64, 3]` bytes. */
export function drawFrame(scene: Scene, frame: number): Uint8Array {
  const image = new Float64Array(WORLD_SIZE * WORLD_SIZE * 3);
  for (let at = 0; at < image.length; at++) image[at] = scene.background.rgb[at % 3]!;
  for (const object of scene.objects) {
    const [cx, cy] = positionAt(object, frame);
    for (let row = 0; row < WORLD_SIZE; row++) {
      for (let column = 0; column < WORLD_SIZE; column++) {
        const cover = coverage(object.shape, wrap(column + 0.5 - cx), wrap(row + 0.5 - cy), object.radius);
        if (cover === 0) continue;
        const at = (row * WORLD_SIZE + column) * 3;
        for (let channel = 0; channel < 3; channel++) {
          image[at + channel] = image[at + channel]! * (1 - cover) + object.rgb[channel]! * cover;
        }
      }
    }
  }
  return Uint8Array.from(image, (value) => Math.round(255 * value));
}

/** Frames `first` and on. */
export function drawClip(scene: Scene, count: number, first = 0): Uint8Array[] {
  return Array.from({ length: count }, (_, t) => drawFrame(scene, first + t));
}
