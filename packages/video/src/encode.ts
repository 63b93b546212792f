/** One call for every single-file format. The Node door writes folders and files with it. */
import { checkOptionKinds, type OptionKinds, UsageError } from "@lvsa/runtime/errors";
import type { VideoBackend, VideoQuality } from "./backend.js";
import { type ByteSink, MemorySink } from "./byte-sink.js";
import type { FrameStream } from "./frames.js";
import { writeGif } from "./gif.js";
import type { VideoMetadata } from "./metadata.js";
import { type Mp4Layout, mp4Layout, writeMp4 } from "./mp4.js";
import { writePng } from "./png.js";
import { webCodecsBackend } from "./webcodecs.js";
import { writeWebm } from "./webm.js";

/** `png` is a still picture for one frame and an animated PNG for more. */
export type VideoFormat = "mp4" | "webm" | "gif" | "png";

const FORMATS: Readonly<Record<string, VideoFormat>> = {
  mp4: "mp4",
  webm: "webm",
  gif: "gif",
  png: "png",
  apng: "png",
};

/** For messages and help texts. */
export const VIDEO_EXTENSIONS: readonly string[] = Object.keys(FORMATS).map((name) => `.${name}`);

export interface EncodeVideoOptions extends FrameStream {
  readonly format: VideoFormat;
  readonly metadata?: VideoMetadata;
  /** MP4 and WebM only; the others are lossless or nearly so. Default `high`. */
  readonly quality?: VideoQuality;
  /** How an MP4 is laid out. Default `fast-start`. */
  readonly mp4?: Mp4Layout;
  /** Encoders for MP4 and WebM, asked in order. Default: WebCodecs; in Node pass `nodeVideoBackends()`. */
  readonly backends?: readonly VideoBackend[];
}

export interface EncodeReport {
  readonly format: VideoFormat;
  /** Which backend compressed the frames; nothing for PNG and GIF. */
  readonly encoder?: string;
  /** What a viewer should know (padding, rounded rates), one sentence each. */
  readonly notes: readonly string[];
}

export interface EncodedVideo extends EncodeReport {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The format a file name asks for, by its extension. @throws ConfigError with the known ones. */
export function formatOfPath(path: string): VideoFormat {
  const extension = /\.([^./\\]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  const format = Object.hasOwn(FORMATS, extension) ? FORMATS[extension] : undefined;
  if (format) return format;
  throw new UsageError(
    "VIDEO_FORMAT",
    `can not tell a video format from "${path}"${extension ? ` (extension .${extension})` : ""}`,
    { fix: `use one of ${VIDEO_EXTENSIONS.join(", ")}` },
  );
}

/** Numbers and words have checks of their own, which say more. */
export const ENCODE_KINDS: OptionKinds<EncodeVideoOptions> = {
  ...{ frames: "object|array", width: "any", height: "any", frameCount: "any", fps: "any", signal: "object" },
  ...{ format: "any", metadata: "object", quality: "any", mp4: "any", backends: "array" },
};

/** A generation's result may be spread into the options: what it has besides is left alone, a misspelt option is not. */
export function checkVideoOptions<Options extends Pick<EncodeVideoOptions, "metadata">>(
  kinds: OptionKinds<Options>,
  options: Options,
  what: string,
): void {
  checkOptionKinds(kinds, options, what, "misspelt");
  if (!options.metadata) return;
  checkOptionKinds({ title: "string", settings: "object" }, options.metadata, "metadata");
}

/**
 * Writes a stream of frames to a sink in the format asked for.
 * @throws what `encodeVideo` throws
 */
export async function encodeVideoTo(sink: ByteSink, options: EncodeVideoOptions): Promise<EncodeReport> {
  checkVideoOptions(ENCODE_KINDS, options, "a video");
  const { format, metadata = {}, quality, backends = [webCodecsBackend] } = options;
  const container = { metadata, backends, ...(quality === undefined ? {} : { quality }) };
  mp4Layout(options.mp4);
  const ignored =
    options.mp4 && format !== "mp4" ? [`mp4: "${options.mp4}" has no effect on a .${format}`] : [];
  switch (format) {
    case "mp4":
      return { format, ...(await writeMp4(sink, options, { ...container, layout: mp4Layout(options.mp4) })) };
    case "webm":
      return withNotes(ignored, { format, ...(await writeWebm(sink, options, container)) });
    case "gif":
      return { format, notes: [...ignored, ...(await writeGif(sink, options, metadata))] };
    case "png":
      await writePng(sink, options, metadata);
      return { format, notes: ignored };
    default:
      throw new UsageError("VIDEO_FORMAT", `unknown video format "${format satisfies never}"`, {
        fix: "use mp4, webm, gif or png",
      });
  }
}

function withNotes(more: readonly string[], report: EncodeReport): EncodeReport {
  return { ...report, notes: [...more, ...report.notes] };
}

/**
 * Encodes a stream of frames in memory.
 *
 * @throws UsageError `BAD_OPTION` for options that are misspelt or of another kind; ConfigError for bad numbers, an unknown
 *   format or a missing encoder; ShapeError when frames have another
 *   size or number than announced; AbortError when the signal fires
 */
export async function encodeVideo(options: EncodeVideoOptions): Promise<EncodedVideo> {
  const sink = new MemorySink();
  const report = await encodeVideoTo(sink, options);
  return { ...report, bytes: sink.toBytes() };
}
