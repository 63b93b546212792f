/** The encoders of the browser, or of whatever put WebCodecs on `globalThis`. */
import { canEncodeVideo, Quality, VideoSample, VideoSampleSource } from "mediabunny";
import { frameTiming, type VideoBackend, type VideoTrackConfig, type VideoTrackEncoder } from "./backend.js";
import { BT709_LIMITED } from "./yuv.js";

const QUALITY = { low: "medium", medium: "high", high: "very-high" } as const;

async function open(config: VideoTrackConfig): Promise<VideoTrackEncoder | undefined> {
  if (typeof globalThis.VideoEncoder === "undefined") return undefined;
  const { codec, width, height, fps } = config;
  const quality = new Quality(QUALITY[config.quality]);
  if (!(await canEncodeVideo(codec, { width, height, quality, frameRate: fps }))) return undefined;
  const source = new VideoSampleSource({ codec, quality, keyFrameInterval: 2 });
  return {
    source,
    async add(i420, index) {
      const sample = new VideoSample(i420.slice(), {
        format: "I420",
        codedWidth: width,
        codedHeight: height,
        ...frameTiming(config, index),
        colorSpace: BT709_LIMITED,
      });
      try {
        await source.add(sample);
      } finally {
        sample.close();
      }
    },
    // The container flushes a sample source when it is finalized, and cancels it when it is cancelled.
    finish: () => Promise.resolve(),
    close: () => undefined,
  };
}

/** WebCodecs: every current browser for VP9, most for H.264; not in Node itself. */
export const webCodecsBackend: VideoBackend = {
  name: "WebCodecs",
  codecs: ["avc", "vp9"],
  howToGet: "use a browser with WebCodecs",
  open,
};
