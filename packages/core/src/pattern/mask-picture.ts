/** The pattern as a picture: a row per query frame, a column per key frame. */
import type { AttentionPattern } from "./attention-pattern.js";

/** How a key frame is attended to: as a global frame, in the window, both, or not at all. */
export type MaskCell = "global" | "window" | "both" | "none";

/** Colours that are told apart without colour vision, too. */
export const MASK_COLOURS = {
  global: "#1f5fa8",
  window: "#f0a030",
  both: "#7a3f98",
  none: "#eef0f2",
} as const satisfies Record<MaskCell, string>;

export interface MaskPicture {
  /** `[height, width, 3]` bytes. */
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Longest edge in pixels that cells are made to fill. */
const TARGET_EDGE = 1024;
const LARGEST_CELL = 16;

/** Cells of one row. */
export function maskRow(pattern: AttentionPattern, query: number): MaskCell[] {
  const { lo, hi } = pattern.windowBounds(query);
  return Array.from({ length: pattern.frames }, (_, key) => {
    const inWindow = key >= lo && key <= hi;
    if (pattern.isGlobal(key)) return inWindow ? "both" : "global";
    return inWindow ? "window" : "none";
  });
}

/** Squares of equal size, with a line between them where there is room for one. */
export function maskPicture(pattern: AttentionPattern): MaskPicture {
  const cell = Math.max(1, Math.min(LARGEST_CELL, Math.floor(TARGET_EDGE / pattern.frames)));
  const edge = pattern.frames * cell;
  const rgb = new Uint8Array(edge * edge * 3).fill(255);
  const inside = cell >= 4 ? cell - 1 : cell;
  for (let query = 0; query < pattern.frames; query++) {
    for (const [key, kind] of maskRow(pattern, query).entries()) {
      const [red, green, blue] = channels(MASK_COLOURS[kind]);
      for (let y = query * cell; y < query * cell + inside; y++) {
        for (let x = key * cell; x < key * cell + inside; x++)
          rgb.set([red, green, blue], (y * edge + x) * 3);
      }
    }
  }
  return { rgb, width: edge, height: edge };
}

function channels(colour: string): [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** The same as an SVG element; neighbours of one kind are one rectangle. */
export function maskSvg(pattern: AttentionPattern, label: string): string {
  const size = pattern.frames;
  const shapes: string[] = [];
  for (let query = 0; query < size; query++) {
    const row = maskRow(pattern, query);
    for (let start = 0; start < size; ) {
      const kind = row[start]!;
      let end = start + 1;
      while (end < size && row[end] === kind) end += 1;
      if (kind !== "none") {
        shapes.push(
          `<rect x="${start}" y="${query}" width="${end - start}" height="1" fill="${MASK_COLOURS[kind]}"/>`,
        );
      }
      start = end;
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" role="img" aria-label="${attribute(label)}" shape-rendering="crispEdges">`,
    `<rect width="${size}" height="${size}" fill="${MASK_COLOURS.none}"/>`,
    ...shapes,
    "</svg>",
  ].join("\n");
}

/** Text inside of an attribute in double quotes. */
function attribute(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
