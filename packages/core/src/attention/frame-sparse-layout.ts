/** A pattern as the kernel's index buffer: rewritten in place when the pattern changes. */
import type { Device } from "@lvsa/runtime";
import type { AttentionPattern } from "../pattern/attention-pattern.js";
import { AttentionLayout, type AttentionRow } from "./kernel/attention-layout.js";

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

  constructor(device: Device) {
    this.#device = device;
  }

  /** The index buffer of `pattern`; a few KB are uploaded when it is another pattern than before. */
  use(pattern: AttentionPattern): AttentionLayout {
    if (this.#layout && this.#pattern === pattern) return this.#layout;
    if (this.#layout) this.#layout.update(patternRows(pattern));
    else this.#layout = AttentionLayout.build(this.#device, patternRows(pattern));
    this.#pattern = pattern;
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
