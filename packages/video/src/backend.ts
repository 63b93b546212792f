/** Compressing frames is the platform's business; this is what a container needs of it. */
import type { VideoSource } from "mediabunny";

/** Codec names as WebCodecs registries and mediabunny use them: `avc` is H.264. */
export type VideoCodecName = "avc" | "vp9";

/** Size against looks. */
export type VideoQuality = "low" | "medium" | "high";

export interface VideoTrackConfig {
  readonly codec: VideoCodecName;
  /** Even numbers of pixels. */
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly frameCount: number;
  readonly quality: VideoQuality;
}

/** One video track on its way into a file. */
export interface VideoTrackEncoder {
  /** What the container takes its packets from. */
  readonly source: VideoSource;
  /** Compresses frame `index`: I420 in BT.709 limited range. The bytes may change after the promise resolves. */
  add(i420: Uint8Array, index: number): Promise<void>;
  /** Hands over whatever is still held back. */
  finish(): Promise<void>;
  /** Frees the encoder, finished or not. */
  close(): void;
}

/** Somewhere to get an encoder from. */
export interface VideoBackend {
  readonly name: string;
  readonly codecs: readonly VideoCodecName[];
  /** What to do when it is not there, as the end of an error message. */
  readonly howToGet: string;
  /** An encoder, or nothing when this platform or installation has none for the track. */
  open(config: VideoTrackConfig): Promise<VideoTrackEncoder | undefined>;
}

/** Seconds at which frame `index` starts, and how long it stands. */
export function frameTiming(
  config: Pick<VideoTrackConfig, "fps">,
  index: number,
): { timestamp: number; duration: number } {
  return { timestamp: index / config.fps, duration: 1 / config.fps };
}
