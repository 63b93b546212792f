/** Reads back animated GIF files. */
import { ConfigError } from "@lvsa/runtime/errors";
import { GifReader } from "omggif";
import { rgbOf } from "./rgb-of.js";

/** Frames of a file, as RGB bytes `[height, width, 3]` each. */
export interface DecodedFrames {
  readonly frames: readonly Uint8Array[];
  readonly width: number;
  readonly height: number;
  /** Of the whole clip; undefined where the file does not say. */
  readonly fps: number | undefined;
}

/** What happens to a frame's area before the next one. Source: GIF89a, section 23. */
const DISPOSAL = { background: 2, previous: 3 } as const;

/**
 * Each frame as a viewer sees it, on black where nothing was drawn.
 *
 * @throws ConfigError `VIDEO_READ` for damaged bytes
 */
export function decodeGif(bytes: Uint8Array): DecodedFrames {
  try {
    const reader = new GifReader(bytes);
    const { width, height } = reader;
    const canvas = new Uint8Array(width * height * 4);
    for (let at = 3; at < canvas.length; at += 4) canvas[at] = 255;
    const frames: Uint8Array[] = [];
    let hundredths = 0;
    for (let index = 0; index < reader.numFrames(); index++) {
      const info = reader.frameInfo(index);
      const before = info.disposal === DISPOSAL.previous ? canvas.slice() : undefined;
      reader.decodeAndBlitFrameRGBA(index, canvas);
      frames.push(rgbOf(canvas, 4, `frame ${index}`));
      hundredths += info.delay;
      if (before) canvas.set(before);
      if (info.disposal !== DISPOSAL.background) continue;
      for (let row = info.y; row < Math.min(height, info.y + info.height); row++) {
        for (let column = info.x; column < Math.min(width, info.x + info.width); column++) {
          canvas.set([0, 0, 0, 255], (row * width + column) * 4);
        }
      }
    }
    if (frames.length === 0) throw new Error("no picture inside");
    return { frames, width, height, fps: hundredths > 0 ? (100 * frames.length) / hundredths : undefined };
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError("VIDEO_READ", `not a readable GIF: ${what}`, { cause });
  }
}
