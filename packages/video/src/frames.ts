/** Frames on their way from the decoder to a file: 8-bit RGB, one at a time, never the whole clip. */
import { ShapeError, throwIfAborted, UsageError } from "@lvsa/runtime/errors";

/** A clip held in memory. */
export interface VideoFrames {
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** Number of frames. */
  readonly count: number;
  /** Frame `index` as `[height, width, 3]` RGB bytes. The caller does not write into it. */
  get(index: number): Uint8Array;
}

/** Frames in order, as `[height, width, 3]` RGB bytes. A frame is read before the next one is asked for. */
export type FrameSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** A clip as the writers take it: a stream of frames and what must be known before the first one. */
export interface FrameStream {
  readonly frames: FrameSource;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** How many frames `frames` will yield; another number is an error. */
  readonly frameCount: number;
  /** Frames per second, any positive number up to 1000 (24000/1001 is kept exactly where the format can). */
  readonly fps: number;
  /** Stops between two frames with `AbortError`. */
  readonly signal?: AbortSignal;
}

/** A clip in memory as a stream. */
export function streamOf(video: VideoFrames, fps: number): FrameStream {
  function* frames(): Generator<Uint8Array> {
    for (let index = 0; index < video.count; index++) yield video.get(index);
  }
  return { frames: frames(), width: video.width, height: video.height, frameCount: video.count, fps };
}

/** Checks the numbers of a stream. @throws ConfigError with the value seen. */
export function checkStream(stream: Omit<FrameStream, "frames" | "signal">): void {
  for (const name of ["width", "height", "frameCount"] as const) {
    const value = stream[name];
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new UsageError("VIDEO_OPTIONS", `video ${name} is ${value}, expected a positive integer`);
    }
  }
  // The smallest frame limit of the formats (16 bits per side in GIF and H.264 headers).
  if (stream.width > 65535 || stream.height > 65535) {
    throw new UsageError(
      "VIDEO_OPTIONS",
      `video is ${stream.width}x${stream.height}, expected at most 65535 pixels per side`,
    );
  }
  if (!Number.isFinite(stream.fps) || stream.fps <= 0 || stream.fps > 1000) {
    throw new UsageError("VIDEO_OPTIONS", `fps is ${stream.fps}, expected a number above 0 and up to 1000`);
  }
}

/** Yields the stream's frames, having checked each size, the count and the signal. */
export async function* checkedFrames(stream: FrameStream): AsyncGenerator<Uint8Array, void, undefined> {
  const { width, height, frameCount, signal } = stream;
  const expected = width * height * 3;
  let done = 0;
  throwIfAborted(signal, `writing the video after ${done} of ${frameCount} frames`);
  for await (const frame of stream.frames) {
    throwIfAborted(signal, `writing the video after ${done} of ${frameCount} frames`);
    if (done === frameCount) {
      throw new ShapeError("FRAME_COUNT", `more frames arrived than the ${frameCount} announced`);
    }
    if (frame.length !== expected) {
      throw new ShapeError(
        "FRAME_SIZE",
        `frame ${done} has ${frame.length} bytes, expected ${expected} (${width}x${height} RGB)`,
      );
    }
    yield frame;
    done++;
  }
  throwIfAborted(signal, `writing the video after ${done} of ${frameCount} frames`);
  if (done !== frameCount) {
    throw new ShapeError("FRAME_COUNT", `${done} frames arrived, expected ${frameCount}`);
  }
}
