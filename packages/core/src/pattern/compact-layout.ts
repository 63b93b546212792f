/**
 * Block-sparse layout over a compacted copy of keys and values, as block-sparse attention libraries want
 * it: one row per P-token query block, columns index the frames that any row needs. Our own kernel walks
 * `AttentionPattern.indices` in place and does not need it; it exists for other engines' kernels.
 */
import type { AttentionPattern } from "./attention-pattern.js";

/** Copy `patchesPerFrame` tokens from `sourceToken` to `destinationToken` of the compacted buffer. */
export interface FrameCopy {
  readonly sourceToken: number;
  readonly destinationToken: number;
}

export interface CompactLayout {
  /** Frames of the compacted buffer, sorted. */
  readonly frames: readonly number[];
  /** CSR over query blocks, `[queryBlocks + 1]`. */
  readonly indptr: Uint32Array<ArrayBuffer>;
  /** Columns (positions in `frames`), sorted within a row. */
  readonly indices: Uint32Array<ArrayBuffer>;
  readonly queryBlocks: number;
  /** `queryBlocks * patchesPerFrame`: queries are padded to this length. */
  readonly queryTokens: number;
  /** `frames.length * patchesPerFrame`. */
  readonly keyTokens: number;
  /** From the gathered keys of the global frames. */
  readonly globalCopies: readonly FrameCopy[];
  /** From this rank's own keys. */
  readonly localCopies: readonly FrameCopy[];
}

/**
 * Kept as in the Python original, which assumes that a rank begins on a frame boundary. Where it does not, blocks
 * are shifted against the frames they are named after, there can be one block fewer than frames with local tokens, and a
 * local copy may begin before token 0. Use it with one rank or with whole frames per rank;
 * `AttentionPattern.keySpans` is right in every case.
 */
export function buildCompactLayout(pattern: AttentionPattern): CompactLayout {
  const size = pattern.patchesPerFrame;
  const queryBlocks = Math.ceil(pattern.localTokens / size);
  const rows = Array.from({ length: queryBlocks }, (_, row) => pattern.attendedFrames(row));
  const frames = [...new Set(rows.flatMap((row) => [...row]))].sort((a, b) => a - b);
  const columnOf = new Map(frames.map((frame, column) => [frame, column]));

  const indptr = new Uint32Array(queryBlocks + 1);
  const indices: number[] = [];
  for (const [row, attended] of rows.entries()) {
    for (const frame of attended) indices.push(columnOf.get(frame)!);
    indptr[row + 1] = indices.length;
  }

  const positionOf = new Map(pattern.globalFrames.map((frame, position) => [frame, position]));
  const globalCopies: FrameCopy[] = [];
  const localCopies: FrameCopy[] = [];
  for (const [column, frame] of frames.entries()) {
    const destinationToken = column * size;
    const position = positionOf.get(frame);
    if (position !== undefined) globalCopies.push({ sourceToken: position * size, destinationToken });
    else localCopies.push({ sourceToken: frame * size - pattern.firstToken, destinationToken });
  }
  return {
    frames,
    indptr,
    indices: Uint32Array.from(indices),
    queryBlocks,
    queryTokens: queryBlocks * size,
    keyTokens: frames.length * size,
    globalCopies,
    localCopies,
  };
}
