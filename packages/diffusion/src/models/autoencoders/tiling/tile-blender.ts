/**
 * Puts a picture together from its tiles, in main memory. Source: `blend_v`, `blend_h` and the cuts of `tiled_decode` and
 * `tiled_encode` in diffusers' autoencoders, with the roundings of f32: a tile is blended with the one above, then with
 * the one on its left, both as they are after their own blending, and what lies beyond a stride is cut off.
 */
import type { Tile, TileGrid } from "./tile-grid.js";

export interface BlendedPicture {
  readonly grid: TileGrid;
  /** Cells of the picture for one of the grid's, on each side: pixels of decoded latents, 1 for encoded ones. */
  readonly scale: number;
  /** Cells of the picture that have one weight, on each side: those of a patch of pixels. */
  readonly unit: number;
  /** Numbers of a cell, which lie together. */
  readonly channels: number;
}

export class TileBlender {
  readonly #picture: BlendedPicture;
  readonly #lastRow: number;
  readonly #lastColumn: number;
  /** Of frames that are not complete. */
  readonly #frames = new Map<number, Float32Array>();
  /** Lowest rows of the tiles above, one for each column of tiles. */
  readonly #above = new Map<number, Float32Array>();
  /** Last columns of the tile on the left. */
  readonly #left = new Map<number, Float32Array>();

  constructor(picture: BlendedPicture) {
    const { row, column } = picture.grid.tiles.at(-1)!;
    this.#picture = picture;
    this.#lastRow = row;
    this.#lastColumn = column;
  }

  /** One frame of a tile, in the grid's order of tiles: `values` `[height, width, channels]` are taken over and changed. */
  add({ row, column, ...tile }: Tile, frame: number, values: Float32Array): void {
    const { grid, scale, unit, channels } = this.#picture;
    const [height, width] = [tile.height * scale, tile.width * scale];
    const blendHeight = (grid.tile.height - grid.stride.height) * scale;
    const blendWidth = (grid.tile.width - grid.stride.width) * scale;
    const columns = this.#lastColumn + 1;
    const above = this.#above.get(frame * columns + column);
    const left = this.#left.get(frame);
    // A row of a strip is as wide as the tile; a column as high.
    const line = width * channels;
    if (row > 0 && above) blendRows(above, values, { line, unit });
    if (column > 0 && left) blendColumns(left, values, { height, width, channels, unit });

    if (row < this.#lastRow) {
      const rows = Math.min(blendHeight, height);
      this.#above.set(frame * columns + column, values.slice((height - rows) * line));
    } else this.#above.delete(frame * columns + column);
    if (column < this.#lastColumn) {
      const kept = Math.min(blendWidth, width);
      this.#left.set(frame, cutOut(values, line, [0, height], [(width - kept) * channels, line]));
    } else this.#left.delete(frame);

    const picture = this.#frame(frame);
    const rows = Math.min(grid.stride.height * scale, height);
    const kept = Math.min(grid.stride.width * scale, width) * channels;
    const pictureLine = grid.width * scale * channels;
    const from = tile.top * scale * pictureLine + tile.left * scale * channels;
    for (let y = 0; y < rows; y++) {
      picture.set(values.subarray(y * line, y * line + kept), from + y * pictureLine);
    }
  }

  /** A frame of which every tile was added: `[height, width, channels]` of the whole picture, kept no longer. */
  take(frame: number): Float32Array {
    const picture = this.#frame(frame);
    this.#frames.delete(frame);
    return picture;
  }

  #frame(frame: number): Float32Array {
    const { grid, scale, channels } = this.#picture;
    const found = this.#frames.get(frame);
    if (found) return found;
    const made = new Float32Array(grid.height * grid.width * scale * scale * channels);
    this.#frames.set(frame, made);
    return made;
  }
}

/** Into the first rows of `values`, with the last of `strip`. */
function blendRows(
  strip: Float32Array,
  values: Float32Array,
  { line, unit }: { readonly line: number; readonly unit: number },
): void {
  const extent = Math.min(strip.length, values.length) / line;
  const first = strip.length / line - extent;
  for (let y = 0; y < extent; y++) {
    const [old, own] = weights(y, extent, unit);
    const from = (first + y) * line;
    for (let i = 0; i < line; i++) {
      const at = y * line + i;
      values[at] = Math.fround(strip[from + i]! * old) + Math.fround(values[at]! * own);
    }
  }
}

/** Into the first columns of `values`, with the last of `strip`. */
function blendColumns(
  strip: Float32Array,
  values: Float32Array,
  {
    height,
    width,
    channels,
    unit,
  }: { readonly height: number; readonly width: number; readonly channels: number; readonly unit: number },
): void {
  const there = strip.length / (height * channels);
  const extent = Math.min(there, width);
  for (let x = 0; x < extent; x++) {
    const [old, own] = weights(x, extent, unit);
    for (let y = 0; y < height; y++) {
      const from = (y * there + there - extent + x) * channels;
      const to = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) {
        values[to + c] = Math.fround(strip[from + c]! * old) + Math.fround(values[to + c]! * own);
      }
    }
  }
}

/** Of what was there and of the tile itself, at `at` of `extent` cells; tensors in f32 are multiplied by numbers in f32. */
function weights(at: number, extent: number, unit: number): readonly [number, number] {
  const share = Math.floor(at / unit) / (extent / unit);
  return [Math.fround(1 - share), Math.fround(share)];
}

/** Rows and numbers of a row, from and to. */
export function cutOut(
  values: Float32Array,
  line: number,
  [top, bottom]: readonly [number, number],
  [from, to]: readonly [number, number],
): Float32Array {
  const part = new Float32Array((bottom - top) * (to - from));
  for (let y = top; y < bottom; y++) {
    part.set(values.subarray(y * line + from, y * line + to), (y - top) * (to - from));
  }
  return part;
}
