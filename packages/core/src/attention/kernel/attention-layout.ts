/**
 * Which keys every query sees, as rows of query tokens with ranges of key tokens, and the same as a GPU index
 * buffer. A row is one latent frame or one block of text queries; rows of different lengths share one dispatch.
 * The buffer holds three tables of u32: rows, ranges, and the query tiles that the kernel's workgroups take.
 */
import { type Device, ShapeError, type Tensor } from "@lvsa/runtime";

/** Key tokens `start` to `end` (exclusive). */
export type TokenRange = readonly [start: number, end: number];

export interface AttentionRow {
  /** Query tokens `queryStart` to `queryEnd` (exclusive) see the same keys. */
  readonly queryStart: number;
  readonly queryEnd: number;
  /** In any order; must not overlap. Without any, and without context, the row's output is 0. */
  readonly ranges: readonly TokenRange[];
  /** How many of the context keys the row sees; default all. */
  readonly contextEnd?: number;
}

/** Words per row in the index buffer: queryEnd, first range, last range (exclusive), contextEnd. */
export const ROW_WORDS = 4;
const ALL_CONTEXT = 0xffffffff;

/** The index buffer for one tile size, and what a dispatch needs to know about it. */
export interface TileTable {
  readonly index: Tensor;
  readonly tileCount: number;
  /** Word offsets of the tables of ranges (start, end) and tiles (row, first query). */
  readonly rangesAt: number;
  readonly tilesAt: number;
  /** Keys that each tile walks, without context: the measure of its work. */
  readonly keysOfTile: Uint32Array;
}

interface TileTableBuffer {
  index: Tensor;
  table: TileTable;
}

/**
 * Owned by the caller and independent of scopes: keep it as long as its pattern is used, rewrite it with `update`
 * (a few KB are uploaded on next use), then `dispose` of it.
 */
export class AttentionLayout {
  readonly #device: Device;
  readonly #tables = new Map<number, TileTableBuffer>();
  readonly #stale = new Set<number>();
  readonly #windows = new Map<string, AttentionLayout>();
  #rows: readonly AttentionRow[];
  #disposed = false;

  private constructor(device: Device, rows: readonly AttentionRow[]) {
    this.#device = device;
    this.#rows = joinRows(rows.map(checkRow));
  }

  /**
   * @param rows the queries that are to be written; queries outside of every row are left as they are in `out`.
   * @throws ShapeError when a row or a range is no interval, or ranges of a row overlap
   */
  static build(device: Device, rows: readonly AttentionRow[]): AttentionLayout {
    return new AttentionLayout(device, rows);
  }

  /**
   * Rows as the kernel sees them: ranges sorted, adjacent ones merged, empty ones left out; neighbours that see the same
   * keys are one row, whose tiles do not end part empty at every frame.
   */
  get rows(): readonly AttentionRow[] {
    return this.#rows;
  }

  /** Pairs of a query and a key, without context. */
  get pairs(): number {
    return this.#rows.reduce((sum, row) => sum + (row.queryEnd - row.queryStart) * keyCount(row), 0);
  }

  /** Smallest numbers of queries and keys that a call with this layout must have. */
  get extent(): { readonly queries: number; readonly keys: number; readonly context: number } {
    let queries = 0;
    let keys = 0;
    let context = 0;
    for (const row of this.#rows) {
      queries = Math.max(queries, row.queryEnd);
      keys = Math.max(keys, row.ranges.at(-1)?.[1] ?? 0);
      context = Math.max(context, row.contextEnd ?? 0);
    }
    return { queries, keys, context };
  }

  /** Replaces all rows. Dispatches recorded before still use the old ones. */
  update(rows: readonly AttentionRow[]): void {
    this.#rows = joinRows(rows.map(checkRow));
    for (const tile of this.#tables.keys()) this.#stale.add(tile);
    this.#disposeWindows();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { index } of this.#tables.values()) index.dispose();
    this.#tables.clear();
    this.#disposeWindows();
  }

  #disposeWindows(): void {
    for (const window of this.#windows.values()) window.dispose();
    this.#windows.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * @internal The rows' parts in queries `start` to `end`, counted from `start`. It belongs to this layout and lasts until
   * `update` or `dispose`: the layers of a model ask for the same windows.
   */
  window(start: number, end: number): AttentionLayout {
    if (this.#disposed) throw new ShapeError("DISPOSED", "the attention layout was disposed");
    const name = `${start}..${end}`;
    let window = this.#windows.get(name);
    if (!window) {
      const inside = this.#rows.filter((row) => row.queryStart < end && row.queryEnd > start);
      window = AttentionLayout.build(
        this.#device,
        inside.map((row) => ({
          ...row,
          queryStart: Math.max(row.queryStart, start) - start,
          queryEnd: Math.min(row.queryEnd, end) - start,
        })),
      );
      this.#windows.set(name, window);
    }
    return window;
  }

  /** @internal The index buffer for query tiles of `tile` tokens, made or rewritten when needed. */
  tiles(tile: number): TileTable {
    if (this.#disposed) throw new ShapeError("DISPOSED", "the attention layout was disposed");
    const known = this.#tables.get(tile);
    if (known && !this.#stale.has(tile)) return known.table;
    const { words, ...facts } = encodeRows(this.#rows, tile);
    let index = known?.index;
    if (!index || index.size < words.length) {
      index?.dispose();
      // Room to grow: rotating key frames changes how many ranges merge.
      const capacity = Math.ceil((words.length * 1.25) / 64) * 64;
      index = this.#device.empty([capacity], "u32", { pinned: true, label: "attention-layout" });
    }
    this.#device.writeBytes(index, new Uint8Array(words.buffer, 0, words.byteLength));
    const table = { index, ...facts };
    this.#tables.set(tile, { index, table });
    this.#stale.delete(tile);
    return table;
  }
}

/** Runs of 1 in a mask, as ranges. */
export function maskRanges(mask: Uint8Array): TokenRange[] {
  const ranges: TokenRange[] = [];
  for (let i = 0; i < mask.length; ) {
    if (mask[i] === 0) {
      i++;
      continue;
    }
    const start = i;
    while (i < mask.length && mask[i] !== 0) i++;
    ranges.push([start, i]);
  }
  return ranges;
}

/** @internal Exported for tests. */
export function encodeRows(
  rows: readonly AttentionRow[],
  tile: number,
): Omit<TileTable, "index"> & { words: Uint32Array<ArrayBuffer> } {
  // Longest rows first, so that the last workgroups to start are short ones.
  const order = rows.map((_, i) => i).sort((a, b) => keyCount(rows[b]!) - keyCount(rows[a]!) || a - b);
  const tiles: { row: number; first: number }[] = [];
  for (const row of order) {
    const { queryStart, queryEnd } = rows[row]!;
    for (let first = queryStart; first < queryEnd; first += tile) tiles.push({ row, first });
  }
  const rangesAt = rows.length * ROW_WORDS;
  const rangeCount = rows.reduce((sum, row) => sum + row.ranges.length, 0);
  const tilesAt = rangesAt + 2 * rangeCount;
  const words = new Uint32Array(tilesAt + 2 * tiles.length);
  let range = 0;
  rows.forEach((row, i) => {
    words.set([row.queryEnd, range, range + row.ranges.length, row.contextEnd ?? ALL_CONTEXT], i * ROW_WORDS);
    for (const [start, end] of row.ranges) words.set([start, end], rangesAt + 2 * range++);
  });
  const keysOfTile = new Uint32Array(tiles.length);
  tiles.forEach(({ row, first }, i) => {
    words.set([row, first], tilesAt + 2 * i);
    keysOfTile[i] = keyCount(rows[row]!);
  });
  return { words, tileCount: tiles.length, rangesAt, tilesAt, keysOfTile };
}

function keyCount(row: AttentionRow): number {
  return row.ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}

function joinRows(rows: readonly AttentionRow[]): AttentionRow[] {
  const joined: AttentionRow[] = [];
  for (const row of rows) {
    const last = joined.at(-1);
    if (last && last.queryEnd === row.queryStart && seesTheSame(last, row)) {
      joined[joined.length - 1] = { ...last, queryEnd: row.queryEnd };
    } else joined.push(row);
  }
  return joined;
}

function seesTheSame(a: AttentionRow, b: AttentionRow): boolean {
  return (
    a.contextEnd === b.contextEnd &&
    a.ranges.length === b.ranges.length &&
    a.ranges.every(([start, end], i) => start === b.ranges[i]![0] && end === b.ranges[i]![1])
  );
}

function checkRow(row: AttentionRow): AttentionRow {
  const { queryStart, queryEnd, contextEnd } = row;
  for (const [start, end] of [[queryStart, queryEnd] as const, ...row.ranges]) {
    if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end)) {
      throw new ShapeError(
        "BAD_RANGE",
        `${start}..${end} is no range of tokens in the row of queries ${queryStart}..${queryEnd}`,
      );
    }
  }
  const sorted = row.ranges.filter(([start, end]) => start < end).sort((a, b) => a[0] - b[0]);
  const ranges: TokenRange[] = [];
  for (const [start, end] of sorted) {
    const last = ranges.at(-1);
    if (last && start < last[1]) {
      throw new ShapeError(
        "OVERLAPPING_RANGES",
        `ranges ${last[0]}..${last[1]} and ${start}..${end} of the row of queries ${queryStart}..${queryEnd} overlap: their keys would count twice`,
      );
    }
    if (last && start === last[1]) ranges[ranges.length - 1] = [last[0], end];
    else ranges.push([start, end]);
  }
  return { queryStart, queryEnd, ranges, ...(contextEnd === undefined ? {} : { contextEnd }) };
}
