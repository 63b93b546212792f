/** What is scored: a clip of 8-bit RGB frames in memory. */
import { ShapeError } from "@lvsa/runtime/errors";
import type { VideoFrames } from "@lvsa/video";

/**
 * Checks a clip once, so that no metric has to.
 *
 * @throws ShapeError `CLIP_SIZE` for a clip without frames or pixels, or a frame of another size
 */
export function checkClip(clip: VideoFrames): void {
  const { width, height, count } = clip;
  for (const [name, value] of Object.entries({ width, height, count })) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new ShapeError("CLIP_SIZE", `the clip's ${name} is ${value}, expected a positive integer`);
  }
  for (let index = 0; index < count; index++) {
    const { length } = clip.get(index);
    if (length === width * height * 3) continue;
    throw new ShapeError(
      "CLIP_SIZE",
      `frame ${index} has ${length} bytes, expected ${width * height * 3} (${width}x${height} RGB)`,
    );
  }
}

/** Frames in an array as a clip. The arrays are not copied. @throws ShapeError `CLIP_SIZE` */
export function clipOf(frames: readonly Uint8Array[], width: number, height: number): VideoFrames {
  const clip = { width, height, count: frames.length, get: (index: number) => frames[index]! };
  checkClip(clip);
  return clip;
}

/** Frames `from` up to, not including, `to`, of the same memory. */
export function sliceClip(clip: VideoFrames, from: number, to: number): VideoFrames {
  const { width, height } = clip;
  return { width, height, count: to - from, get: (index) => clip.get(from + index) };
}

/** Reads a stream of frames into memory. Each array must be the receiver's own. */
export async function collectClip(
  frames: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  width: number,
  height: number,
): Promise<VideoFrames> {
  const all: Uint8Array[] = [];
  for await (const frame of frames) all.push(frame);
  return clipOf(all, width, height);
}
