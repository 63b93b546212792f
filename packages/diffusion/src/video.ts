/** Entry `@lvsa/diffusion/video`: from RGB frames to video files, in browsers and Node. */
export type {
  VideoBackend,
  VideoCodecName,
  VideoQuality,
  VideoTrackConfig,
  VideoTrackEncoder,
} from "./video/backend.js";
export { type ByteSink, MemorySink } from "./video/byte-sink.js";
export {
  type EncodedVideo,
  type EncodeReport,
  type EncodeVideoOptions,
  encodeVideo,
  encodeVideoTo,
  formatOfPath,
  VIDEO_EXTENSIONS,
  type VideoFormat,
} from "./video/encode.js";
export { type FrameSource, type FrameStream, streamOf, type VideoFrames } from "./video/frames.js";
export type { VideoMetadata } from "./video/metadata.js";
export { encodePng } from "./video/png.js";
export { decodePng, type PngImage } from "./video/read-png.js";
export { webCodecsBackend } from "./video/webcodecs.js";
export { BT709_LIMITED, evenSize, i420Bytes, rgbToI420 } from "./video/yuv.js";
