/** Entry `@lvsa/video/node`: video files written by Node. */
export { nodeVideoBackends } from "./node/video-backends.js";
export {
  checkVideoOutput,
  type WriteVideoOptions,
  type WrittenVideo,
  writeVideo,
} from "./node/write-video.js";
