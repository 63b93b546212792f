/** From RGB frames to video files, in browsers and Node. */
export type {
  VideoBackend,
  VideoCodecName,
  VideoQuality,
  VideoTrackConfig,
  VideoTrackEncoder,
} from "./backend.js";
export { type ByteSink, MemorySink } from "./byte-sink.js";
export {
  type EncodedVideo,
  type EncodeReport,
  type EncodeVideoOptions,
  encodeVideo,
  encodeVideoTo,
  formatOfPath,
  VIDEO_EXTENSIONS,
  type VideoFormat,
} from "./encode.js";
export * from "./error-codes.js";
export { type FrameSource, type FrameStream, streamOf, type VideoFrames } from "./frames.js";
export type { VideoMetadata } from "./metadata.js";
export { MP4_LAYOUTS, type Mp4Layout } from "./mp4.js";
export { encodePng } from "./png.js";
export { decodePng, type PngImage } from "./read-png.js";
export { webCodecsBackend } from "./webcodecs.js";
export { BT709_LIMITED, evenSize, i420Bytes, rgbToI420 } from "./yuv.js";
