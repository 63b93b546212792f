/**
 * The attention pattern of one denoising step on one rank: which key frames every query frame attends to.
 * Plain integers, no GPU. Patterns never change; a rotated one is built anew (below a millisecond for 241 frames).
 */
import { ConfigError } from "@lvsa/runtime";
import { nearestDivisibleFrames } from "./divisibility.js";
import { computeBoundaryGuardFrames, computeGlobalFrames } from "./global-frames.js";
import { type WindowBounds, windowBounds } from "./window.js";

export interface AttentionPatternOptions {
  /** Latent frames of the whole clip. */
  readonly frames: number;
  /** Tokens per latent frame. */
  readonly patchesPerFrame: number;
  /** Half window in latent frames; 0: global frames only. */
  readonly window: number;
  readonly nFirstFrames: number;
  /** Latent frames between keyframes; null or 0: none. */
  readonly keyframeInterval: number | null;
  /** Shift of the periodic keyframes, usually `rotationOffsetOfStep(step, interval)`. Default 0. */
  readonly rotationOffset?: number;
  /** Grow the window past global frames. Default true. */
  readonly expandWindow?: boolean;
  /** Ranks that share the sequence, each `frames * patchesPerFrame / worldSize` tokens. Default 1. */
  readonly worldSize?: number;
  /** Default 0. */
  readonly rank?: number;
  /** Frames that are global because ranks meet there. Default: computed from `window`. */
  readonly boundaryGuards?: readonly number[];
  /** Frames that are global because their content is given (the image of image to video). Default: none. */
  readonly conditionFrames?: readonly number[];
}

/** Query tokens `[startToken, endToken)` of this rank that belong to `frame`: one row of the pattern. */
export interface FrameSegment {
  readonly frame: number;
  readonly startToken: number;
  readonly endToken: number;
}

/** Tokens `[startToken, endToken)`. */
export interface TokenSpan {
  readonly startToken: number;
  readonly endToken: number;
}

/** Where this rank's tokens go in the gathered keys and values of the global frames. */
export interface GlobalContribution {
  /** First of this rank's own tokens to copy. */
  readonly sourceToken: number;
  /** Where it lands: token index in `[globalFrames.length * patchesPerFrame]`. */
  readonly destinationToken: number;
  readonly tokens: number;
}

/** Key tokens of every row as merged, sorted spans: row r owns spans `indptr[r] .. indptr[r + 1]`. */
export interface KeySpans {
  readonly indptr: Uint32Array<ArrayBuffer>;
  /** `start, end` pairs (end exclusive), two numbers per span. */
  readonly spans: Uint32Array<ArrayBuffer>;
}

export class AttentionPattern {
  /** Latent frames of the whole clip. */
  readonly frames: number;
  readonly patchesPerFrame: number;
  readonly window: number;
  readonly nFirstFrames: number;
  readonly keyframeInterval: number | null;
  readonly rotationOffset: number;
  readonly expandWindow: boolean;
  readonly worldSize: number;
  readonly rank: number;
  readonly boundaryGuards: readonly number[];
  readonly conditionFrames: readonly number[];
  /** Sorted; leading frames, periodic keyframes, boundary guards and condition frames. */
  readonly globalFrames: readonly number[];
  /** Tokens of this rank, and the position of its first token in the whole sequence. */
  readonly localTokens: number;
  readonly firstToken: number;
  /** Rows of the pattern, in token order. On one rank row f is frame f with all its tokens. */
  readonly frameSegments: readonly FrameSegment[];
  /** CSR over rows, `[rows + 1]`. */
  readonly indptr: Uint32Array<ArrayBuffer>;
  /**
   * Attended frame numbers of every row, sorted and unique. On several ranks: all global frames, plus the
   * window frames of which this rank holds at least one token (see `windowSpans` for which tokens).
   */
  readonly indices: Uint32Array<ArrayBuffer>;
  /** Attended part of all query-key pairs, 0..1. */
  readonly density: number;
  readonly #globalSet: ReadonlySet<number>;

  private constructor(o: Required<AttentionPatternOptions>) {
    this.frames = o.frames;
    this.patchesPerFrame = o.patchesPerFrame;
    this.window = o.window;
    this.nFirstFrames = o.nFirstFrames;
    this.keyframeInterval = o.keyframeInterval;
    this.rotationOffset = o.rotationOffset;
    this.expandWindow = o.expandWindow;
    this.worldSize = o.worldSize;
    this.rank = o.rank;
    this.boundaryGuards = o.boundaryGuards;
    this.conditionFrames = o.conditionFrames;
    this.#globalSet = new Set([...computeGlobalFrames(o), ...o.boundaryGuards, ...o.conditionFrames]);
    this.globalFrames = [...this.#globalSet].sort((a, b) => a - b);
    this.localTokens = (o.frames * o.patchesPerFrame) / o.worldSize;
    this.firstToken = o.rank * this.localTokens;
    this.frameSegments = segments(this.firstToken, this.localTokens, o.patchesPerFrame);

    const indptr = new Uint32Array(this.frameSegments.length + 1);
    const indices: number[] = [];
    let pairs = 0;
    for (const [row, segment] of this.frameSegments.entries()) {
      const attended = new Set(this.globalFrames);
      let keyTokens = this.globalFrames.length * o.patchesPerFrame;
      for (const { frame, startToken, endToken } of this.#windowSegments(segment.frame)) {
        attended.add(frame);
        keyTokens += endToken - startToken;
      }
      indices.push(...[...attended].sort((a, b) => a - b));
      indptr[row + 1] = indices.length;
      pairs += (segment.endToken - segment.startToken) * keyTokens;
    }
    this.indptr = indptr;
    this.indices = Uint32Array.from(indices);
    this.density = pairs / (this.localTokens * o.frames * o.patchesPerFrame);
  }

  /**
   * Builds the pattern.
   *
   * @throws ConfigError for numbers out of range, a sequence that `worldSize` does not divide (the message
   * names the nearest frame counts that work), or a pattern in which a query would attend to nothing.
   */
  static build(options: AttentionPatternOptions): AttentionPattern {
    const { frames, patchesPerFrame, window } = options;
    const worldSize = options.worldSize ?? 1;
    const rank = options.rank ?? 0;
    const rotationOffset = options.rotationOffset ?? 0;
    requireInteger("frames", frames, 1);
    requireInteger("patchesPerFrame", patchesPerFrame, 1);
    requireInteger("window", window, 0);
    requireInteger("nFirstFrames", options.nFirstFrames, 0);
    if (options.keyframeInterval !== null) requireInteger("keyframeInterval", options.keyframeInterval, 0);
    requireInteger("rotationOffset", rotationOffset, 0);
    requireInteger("worldSize", worldSize, 1);
    requireInteger("rank", rank, 0, worldSize - 1);
    requireDivisible(frames, patchesPerFrame, worldSize);
    const localTokens = (frames * patchesPerFrame) / worldSize;
    const boundaryGuards =
      options.boundaryGuards ??
      computeBoundaryGuardFrames({ frames, localTokens, patchesPerFrame, worldSize, window });
    for (const guard of boundaryGuards) requireInteger("boundaryGuards", guard, 0, frames - 1);
    const conditionFrames = options.conditionFrames ?? [];
    for (const frame of conditionFrames) requireInteger("conditionFrames", frame, 0, frames - 1);
    const expandWindow = options.expandWindow ?? true;
    const pattern = new AttentionPattern({
      ...options,
      worldSize,
      rank,
      rotationOffset,
      expandWindow,
      boundaryGuards,
      conditionFrames,
    });
    if (window === 0 && pattern.globalFrames.length === 0) {
      throw new ConfigError(
        "EMPTY_PATTERN",
        "Window 0, no leading frames and no keyframes leave every query without a single key.",
        { fix: "Use a window, a leading frame or a keyframe interval of at least 1 latent frame." },
      );
    }
    return pattern;
  }

  /** Number of query rows: frames of which this rank holds tokens. */
  get rows(): number {
    return this.frameSegments.length;
  }

  /** True when every query attends to every token of the clip. */
  get isDense(): boolean {
    return this.density === 1;
  }

  isGlobal(frame: number): boolean {
    return this.#globalSet.has(frame);
  }

  /** Attended frames of a row, sorted. A view on `indices`. */
  attendedFrames(row: number): Uint32Array<ArrayBuffer> {
    const start = this.indptr[row];
    const end = this.indptr[row + 1];
    if (start === undefined || end === undefined) {
      throw new ConfigError("ROW_OUT_OF_RANGE", `Row ${row} was asked for; the pattern has ${this.rows}.`, {
        fault: "run",
      });
    }
    return this.indices.subarray(start, end);
  }

  /** Window of any frame of the clip, global frames inside it included. */
  windowBounds(frame: number): WindowBounds {
    return windowBounds(frame, this.window, this.frames, {
      expand: this.expandWindow,
      globalFrames: this.#globalSet,
    });
  }

  /** Tokens of this rank in the window of `frame`, one span per frame that is not global. */
  windowSpans(frame: number): TokenSpan[] {
    return this.#windowSegments(frame).map(({ startToken, endToken }) => ({ startToken, endToken }));
  }

  /**
   * Key tokens of every row, neighbours merged, for kernels that walk token ranges.
   * - one rank: positions in the clip's own `[frames * patchesPerFrame]` keys, nothing gathered;
   * - several ranks: positions in the gathered keys of the global frames
   *   (`globalFrames.length * patchesPerFrame` tokens), followed by this rank's own `localTokens`.
   */
  keySpans(): KeySpans {
    const gathered = this.worldSize > 1;
    const globalTokens = gathered ? this.globalFrames.length * this.patchesPerFrame : 0;
    const indptr = new Uint32Array(this.rows + 1);
    const spans: number[] = [];
    for (let row = 0; row < this.rows; row++) {
      const first = spans.length;
      const add = (start: number, end: number) => {
        if (spans.length > first && spans.at(-1) === start) spans[spans.length - 1] = end;
        else spans.push(start, end);
      };
      if (gathered) {
        if (globalTokens > 0) add(0, globalTokens);
        for (const { startToken, endToken } of this.#windowSegments(this.frameSegments[row]!.frame)) {
          // The gathered frames and the rank's own tokens are two buffers: never one span across both.
          if (spans.at(-1) === globalTokens && startToken === 0)
            spans.push(globalTokens, globalTokens + endToken);
          else add(globalTokens + startToken, globalTokens + endToken);
        }
      } else {
        for (const frame of this.attendedFrames(row)) {
          add(frame * this.patchesPerFrame, (frame + 1) * this.patchesPerFrame);
        }
      }
      indptr[row + 1] = spans.length / 2;
    }
    return { indptr, spans: Uint32Array.from(spans) };
  }

  /** What this rank writes into the gathered keys and values; all ranks' parts add up to every global frame. */
  globalContributions(): GlobalContribution[] {
    const parts: GlobalContribution[] = [];
    for (const [position, frame] of this.globalFrames.entries()) {
      const span = this.#localSpan(frame);
      if (span === undefined) continue;
      const skipped = this.firstToken + span.startToken - frame * this.patchesPerFrame;
      parts.push({
        sourceToken: span.startToken,
        destinationToken: position * this.patchesPerFrame + skipped,
        tokens: span.endToken - span.startToken,
      });
    }
    return parts;
  }

  /** Frames of the window that are not global and of which this rank holds tokens. */
  #windowSegments(frame: number): FrameSegment[] {
    const { lo, hi } = this.windowBounds(frame);
    const found: FrameSegment[] = [];
    for (let f = lo; f <= hi; f++) {
      if (this.#globalSet.has(f)) continue;
      const span = this.#localSpan(f);
      if (span !== undefined) found.push({ frame: f, ...span });
    }
    return found;
  }

  /** This rank's tokens of a frame, in local token numbers. */
  #localSpan(frame: number): TokenSpan | undefined {
    const startToken = Math.max(frame * this.patchesPerFrame - this.firstToken, 0);
    const endToken = Math.min((frame + 1) * this.patchesPerFrame - this.firstToken, this.localTokens);
    return startToken < endToken ? { startToken, endToken } : undefined;
  }
}

function segments(firstToken: number, localTokens: number, patchesPerFrame: number): FrameSegment[] {
  const found: FrameSegment[] = [];
  const end = firstToken + localTokens;
  for (let frame = Math.floor(firstToken / patchesPerFrame); frame * patchesPerFrame < end; frame++) {
    found.push({
      frame,
      startToken: Math.max(frame * patchesPerFrame, firstToken) - firstToken,
      endToken: Math.min((frame + 1) * patchesPerFrame, end) - firstToken,
    });
  }
  return found;
}

function requireInteger(
  name: string,
  value: number,
  minimum: number,
  maximum = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return;
  const range =
    maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
  throw new ConfigError("INVALID_PATTERN", `${name} is ${value}; expected an integer ${range}.`);
}

function requireDivisible(frames: number, patchesPerFrame: number, worldSize: number): void {
  const tokens = frames * patchesPerFrame;
  if (tokens % worldSize === 0) return;
  const nearest = nearestDivisibleFrames(frames, patchesPerFrame, worldSize);
  throw new ConfigError(
    "SEQUENCE_NOT_DIVISIBLE",
    `${frames} latent frames x ${patchesPerFrame} tokens = ${tokens} tokens can not be split evenly over ` +
      `${worldSize} ranks (${tokens % worldSize} left over).`,
    { fix: `Use ${nearest.join(" or ")} latent frames, or another number of ranks.` },
  );
}
