/** A pattern as the kernel's index buffer: rewritten in place when the pattern changes. */
import { assertShape, type Device } from "@lvsa/runtime";
import type { FrameRange } from "../parallel/share-frames.js";
import type { AttentionPattern } from "../pattern/attention-pattern.js";
import { AttentionLayout, type AttentionRow } from "./kernel/attention-layout.js";

/** Part of a clip: some frames' queries, and the keys of all frames that they see. */
export interface FramePart {
  readonly queries: FrameRange;
  /** Frames whose keys there are, one after the other, ascending. */
  readonly keys: readonly number[];
}

/** `patternRows` of a part: ranges point into the keys that there are. */
function partRows(pattern: AttentionPattern, { queries, keys }: FramePart): AttentionRow[] {
  const P = pattern.patchesPerFrame;
  const place = new Map(keys.map((frame, i) => [frame, i]));
  return Array.from({ length: queries.end - queries.first }, (_, row) => ({
    queryStart: row * P,
    queryEnd: (row + 1) * P,
    ranges: Array.from(pattern.attendedFrames(queries.first + row), (frame): [number, number] => {
      const at = place.get(frame);
      assertShape(at !== undefined, `frame-sparse attention: the keys of frame ${frame} are missing`);
      return [at * P, (at + 1) * P];
    }),
  }));
}

/**
 * Rows of query tokens with ranges of key tokens. On one rank ranges point into the clip's keys; on several they
 * point into the rank's own keys, and the gathered keys of the global frames are context that every row sees.
 */
export function patternRows(pattern: AttentionPattern): AttentionRow[] {
  const isSharded = pattern.worldSize > 1;
  const { indptr, spans } = pattern.keySpans();
  return pattern.frameSegments.map(({ frame, startToken, endToken }, row) => {
    const ranges: [number, number][] = isSharded
      ? pattern.windowSpans(frame).map((span) => [span.startToken, span.endToken])
      : Array.from({ length: indptr[row + 1]! - indptr[row]! }, (_, i) => {
          const at = 2 * (indptr[row]! + i);
          return [spans[at]!, spans[at + 1]!];
        });
    return { queryStart: startToken, queryEnd: endToken, ranges };
  });
}

/** Owned by the caller. One layout serves all layers of a model: their pattern is the same within a step. */
export class FrameSparseLayout {
  readonly #device: Device;
  #layout: AttentionLayout | undefined;
  #pattern: AttentionPattern | undefined;
  #part: string | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  /** The index buffer of `pattern`; a few KB are uploaded when it is another pattern than before. */
  use(pattern: AttentionPattern, part?: FramePart): AttentionLayout {
    // Which keys there are follows from the pattern, or they are those of all frames.
    const name = part && `${part.queries.first}-${part.queries.end} of ${part.keys.length}`;
    if (this.#layout && this.#pattern === pattern && this.#part === name) return this.#layout;
    const rows = part ? partRows(pattern, part) : patternRows(pattern);
    if (this.#layout) this.#layout.update(rows);
    else this.#layout = AttentionLayout.build(this.#device, rows);
    this.#pattern = pattern;
    this.#part = name;
    return this.#layout;
  }

  dispose(): void {
    this.#layout?.dispose();
    this.#layout = undefined;
    this.#pattern = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
