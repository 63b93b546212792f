/** Sizes of a convolution and how it is cut into dispatches. Pure numbers, no device. */
import { assertShape } from "../../errors.js";
import { splitRows } from "../row-chunks.js";

export interface ConvPadding {
  /** Frames before and after. Before the first frame, cached frames (history) count towards it. */
  readonly time: readonly [front: number, back: number];
  readonly height: readonly [top: number, bottom: number];
  readonly width: readonly [left: number, right: number];
}

export interface ConvGeometry {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  /** Cached frames that stand before the first frame. */
  readonly history: number;
  readonly kernel: readonly [number, number, number];
  readonly stride: readonly [number, number, number];
  /** Frames before frame 0, history included. */
  readonly front: number;
  readonly top: number;
  readonly left: number;
  readonly outFrames: number;
  readonly outHeight: number;
  readonly outWidth: number;
}

export function convGeometry(
  input: readonly [frames: number, height: number, width: number],
  kernel: readonly [number, number, number],
  stride: readonly [number, number, number],
  padding: ConvPadding,
  history: number,
): ConvGeometry {
  const [frames, height, width] = input;
  const front = Math.max(padding.time[0], history);
  const sizes = [
    frames + front + padding.time[1],
    height + padding.height[0] + padding.height[1],
    width + padding.width[0] + padding.width[1],
  ];
  const [outFrames, outHeight, outWidth] = sizes.map((size, d) => {
    assertShape(
      size >= kernel[d]!,
      `conv3d: ${["time", "height", "width"][d]} is ${size} with padding, the kernel needs ${kernel[d]}`,
    );
    return Math.floor((size - kernel[d]!) / stride[d]!) + 1;
  }) as [number, number, number];
  const [top, left] = [padding.height[0], padding.width[0]];
  return { frames, height, width, history, kernel, stride, front, top, left, outFrames, outHeight, outWidth };
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** One dispatch: output frames (and rows of one frame) from input frames (and rows), for some taps in time. */
export interface ConvPiece {
  readonly outFrames: Range;
  readonly outRows: Range;
  /** Frames and rows of the input that are bound. Rows are a part only where one frame is bound. */
  readonly frames: Range;
  readonly rows: Range;
  readonly fromHistory: boolean;
  /** Whether cached frames are bound beside the frames. */
  readonly withHistory: boolean;
  /** Taps in time that are summed: the first, and how many. */
  readonly tap: number;
  readonly taps: number;
  /** Frames before the first bound frame, and rows above the first bound row, as the shader sees them. */
  readonly front: number;
  readonly top: number;
  /** Not the first piece of its output: adds to what is there. */
  readonly accumulate: boolean;
}

export interface ConvLimits {
  /** Bytes of one input frame row, of one output row, as bound (the widest of output and residual). */
  readonly inputRowBytes: number;
  readonly outputRowBytes: number;
  readonly bindingBytes: number;
  /** Offsets that can be bound without a copy. */
  readonly alignment: number;
  /** Multiply-adds of one output frame, and how many one dispatch may take (drivers stop long ones). */
  readonly frameWork: number;
  readonly maxWork: number;
}

/** Pieces that cover the output. `whole`: no sums across pieces, so results can be finished in the shader. */
export function planConv(
  g: ConvGeometry,
  limits: ConvLimits,
  replicate: boolean,
): { readonly pieces: ConvPiece[]; readonly whole: boolean } {
  const frameBytes = g.height * limits.inputRowBytes;
  const outFrameBytes = g.outHeight * limits.outputRowBytes;
  const [kt] = g.kernel;
  const [st] = g.stride;
  const fits = (count: number) =>
    ((count - 1) * st + kt) * frameBytes <= limits.bindingBytes &&
    count * outFrameBytes <= limits.bindingBytes;
  if (!fits(1)) return { pieces: bands(g, limits, replicate), whole: false };
  let count = Math.min(g.outFrames, Math.max(1, Math.floor(limits.maxWork / limits.frameWork)));
  while (!fits(count)) count--;
  const pieces: ConvPiece[] = [];
  for (let start = 0; start < g.outFrames; start += count) {
    const end = Math.min(start + count, g.outFrames);
    const first = start * st - g.front;
    const last = (end - 1) * st - g.front + kt - 1;
    // At least one frame is bound, also where every tap falls into padding.
    const from = Math.min(Math.max(first, 0), g.frames - 1);
    const to = Math.max(Math.min(last, g.frames - 1), from);
    pieces.push({
      outFrames: { start, end },
      outRows: { start: 0, end: g.outHeight },
      frames: { start: from, end: to + 1 },
      rows: { start: 0, end: g.height },
      fromHistory: false,
      withHistory: g.history > 0 && first < 0,
      tap: 0,
      taps: kt,
      front: from - first,
      top: g.top,
      accumulate: false,
    });
  }
  return { pieces, whole: true };
}

/** For frames so large that not even one output frame's input fits a binding: one tap in time and a band of rows each. */
function bands(g: ConvGeometry, limits: ConvLimits, replicate: boolean): ConvPiece[] {
  const [kt, kh] = g.kernel;
  const [st, sh] = g.stride;
  // A band of n output rows reads (n - 1) * sh + kh input rows; reserve the part that does not grow with n.
  const spare = Math.max(0, kh - sh) * limits.inputRowBytes;
  const outRows = splitRows(
    g.outHeight,
    [sh * limits.inputRowBytes, limits.outputRowBytes],
    Math.max(limits.bindingBytes - spare, 1),
    limits.alignment,
  );
  const pieces: ConvPiece[] = [];
  for (let frame = 0; frame < g.outFrames; frame++) {
    const sources: { tap: number; frame: number }[] = [];
    for (let tap = 0; tap < kt; tap++) {
      const at = frame * st - g.front + tap;
      const inside = at >= -g.history && at < g.frames;
      if (inside || replicate) {
        sources.push({ tap, frame: Math.min(Math.max(at, -g.history), g.frames - 1) });
      }
    }
    for (const rows of outRows) {
      const first = rows.start * sh - g.top;
      const last = (rows.end - 1) * sh - g.top + kh - 1;
      const from = Math.min(Math.max(first, 0), g.height - 1);
      const to = Math.max(Math.min(last, g.height - 1), from);
      const piece = {
        outFrames: { start: frame, end: frame + 1 },
        outRows: rows,
        rows: { start: from, end: to + 1 },
        withHistory: false,
        taps: 1,
        top: from - first,
      };
      if (sources.length === 0) {
        // Only padding: one tap that falls outside writes the bias.
        const frames = { start: 0, end: 1 };
        pieces.push({ ...piece, frames, fromHistory: false, tap: 0, front: 1, accumulate: false });
      }
      sources.forEach(({ tap, frame: source }, i) => {
        const fromHistory = source < 0;
        const at = fromHistory ? source + g.history : source;
        const frames = { start: at, end: at + 1 };
        pieces.push({ ...piece, frames, fromHistory, tap, front: 0, accumulate: i > 0 });
      });
    }
  }
  return pieces;
}
