/** Frames into a file, in a format that this browser can really write. */
import type { DecodeResult } from "@lvsa/diffusion";
import { DeviceError, isLvsaError, LvsaError } from "@lvsa/runtime";
import {
  type EncodedVideo,
  encodeVideo,
  type VideoFormat,
  type VideoMetadata,
  type VideoQuality,
} from "@lvsa/video";

const AUTOMATIC: readonly VideoFormat[] = ["mp4", "webm", "png"];

export interface WriteClipOptions {
  readonly format: VideoFormat | "auto";
  readonly quality: VideoQuality | undefined;
  readonly metadata: VideoMetadata;
  readonly signal: AbortSignal;
  /** Frames, decoded anew each time that it is called. */
  readonly decode: () => Promise<DecodeResult>;
  /** Called with every frame before it is encoded; the next one is decoded when it has resolved. */
  readonly onFrame: (rgb: Uint8Array, index: number) => Promise<void>;
  readonly onNote: (note: string) => void;
}

/**
 * The formats to try, best first. What a browser says of its encoders is not always true, so one picture is encoded
 * before hours are spent on a clip.
 * @throws LvsaError `VIDEO_ENCODER` for a format that was asked for and can not be written here
 */
export async function formatsToTry(
  format: VideoFormat | "auto",
  size: { readonly width: number; readonly height: number; readonly fps: number },
): Promise<VideoFormat[]> {
  const wanted = format === "auto" ? AUTOMATIC : [format];
  const found: VideoFormat[] = [];
  let reason: unknown;
  for (const one of wanted) {
    const black = new Uint8Array(size.width * size.height * 3);
    try {
      await encodeVideo({ ...size, frameCount: 1, frames: [black], format: one });
      found.push(one);
    } catch (error) {
      reason ??= error;
    }
  }
  if (found.length > 0) return found;
  if (isLvsaError(reason)) throw reason;
  throw encoderFailed(wanted[0]!, reason);
}

/** @throws LvsaError `VIDEO_ENCODER` when no format works; what decoding throws */
export async function writeClip(
  formats: readonly VideoFormat[],
  options: WriteClipOptions,
): Promise<EncodedVideo> {
  let last: unknown;
  for (const format of formats) {
    const video = await options.decode();
    try {
      return await encodeVideo({
        ...video,
        frames: watched(video.frames, options.onFrame),
        format,
        metadata: options.metadata,
        signal: options.signal,
        ...(options.quality === undefined ? {} : { quality: options.quality }),
      });
    } catch (error) {
      // Of the GPU, of the model's numbers, or stopped: another format does not help.
      if (error instanceof DeviceError || (isLvsaError(error) && error.code !== "VIDEO_ENCODER")) throw error;
      last = encoderFailed(format, error);
      options.onNote(`${format} could not be written: ${(error as Error).message}`);
    }
  }
  throw last;
}

async function* watched(
  frames: AsyncIterable<Uint8Array>,
  onFrame: WriteClipOptions["onFrame"],
): AsyncGenerator<Uint8Array> {
  let index = 0;
  for await (const frame of frames) {
    await onFrame(frame, index++);
    yield frame;
  }
}

function encoderFailed(format: string, cause: unknown): LvsaError {
  return new LvsaError(
    "ENCODER_FAILED",
    `the browser's encoder failed at ${format}: ${(cause as Error).message}`,
    {
      fix: 'Use the format "png" or "gif", which need no encoder of the browser.',
      cause,
    },
  );
}
