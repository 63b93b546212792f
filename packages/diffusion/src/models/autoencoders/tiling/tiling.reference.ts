/** Tiles put together as diffusers does it, in plain loops and float64, for tests. */

/** `[height][width][channels]`. */
export type Cells = number[][][];

export interface ReferenceTiles {
  /** Where tiles begin, and their size, in cells of what is cut. */
  readonly tile: readonly [height: number, width: number];
  readonly stride: readonly [height: number, width: number];
  /** Of the results: cells that are blended, and that are kept. */
  readonly blend: readonly [height: number, width: number];
  readonly limit: readonly [height: number, width: number];
}

/** Cuts `size`, asks `work` for each tile's result, blends, and joins. Source: `tiled_decode`, `blend_v`, `blend_h`. */
export async function tiledReference(
  [height, width]: readonly [number, number],
  { tile, stride, blend, limit }: ReferenceTiles,
  work: (top: number, left: number, bottom: number, right: number) => Promise<Cells>,
): Promise<Cells> {
  const rows: Cells[][] = [];
  for (let i = 0; i < height; i += stride[0]) {
    const row: Cells[] = [];
    for (let j = 0; j < width; j += stride[1]) {
      row.push(await work(i, j, Math.min(i + tile[0], height), Math.min(j + tile[1], width)));
    }
    rows.push(row);
  }
  const result: Cells = [];
  for (const [i, row] of rows.entries()) {
    const lines: number[][][] = row[0]!.slice(0, limit[0]).map(() => []);
    for (const [j, cells] of row.entries()) {
      if (i > 0) blendVertically(rows[i - 1]![j]!, cells, blend[0]);
      if (j > 0) blendHorizontally(row[j - 1]!, cells, blend[1]);
      for (const [y, line] of cells.slice(0, limit[0]).entries()) lines[y]!.push(...line.slice(0, limit[1]));
    }
    result.push(...lines);
  }
  return result;
}

function blendVertically(a: Cells, b: Cells, most: number): void {
  const extent = Math.min(a.length, b.length, most);
  for (let y = 0; y < extent; y++) {
    for (let x = 0; x < b[y]!.length; x++) {
      b[y]![x] = mixed(a.at(y - extent)![x]!, b[y]![x]!, y / extent);
    }
  }
}

function blendHorizontally(a: Cells, b: Cells, most: number): void {
  const extent = Math.min(a[0]!.length, b[0]!.length, most);
  for (let y = 0; y < b.length; y++) {
    for (let x = 0; x < extent; x++) {
      b[y]![x] = mixed(a[y]!.at(x - extent)!, b[y]![x]!, x / extent);
    }
  }
}

function mixed(a: readonly number[], b: readonly number[], share: number): number[] {
  return b.map((value, c) => a[c]! * (1 - share) + value * share);
}

/** Of numbers `[height, width, channels]`. */
export function cellsOf(values: ArrayLike<number>, width: number, channels: number): Cells {
  return Array.from({ length: values.length / width / channels }, (_, y) =>
    Array.from({ length: width }, (_, x) =>
      Array.from({ length: channels }, (_, c) => values[(y * width + x) * channels + c]!),
    ),
  );
}

/** Patches of `p` x `p` cells as one cell with all their numbers. */
export function patched(cells: Cells, p: number): Cells {
  return Array.from({ length: cells.length / p }, (_, y) =>
    Array.from({ length: cells[0]!.length / p }, (_, x) =>
      Array.from({ length: p * p }, (_, i) => cells[y * p + Math.floor(i / p)]![x * p + (i % p)]!).flat(),
    ),
  );
}

/** The inverse of `patched`. */
export function unpatched(cells: Cells, p: number): Cells {
  const channels = cells[0]![0]!.length / (p * p);
  return Array.from({ length: cells.length * p }, (_, y) =>
    Array.from({ length: cells[0]!.length * p }, (_, x) => {
      const from = ((y % p) * p + (x % p)) * channels;
      return cells[Math.floor(y / p)]![Math.floor(x / p)]!.slice(from, from + channels);
    }),
  );
}
