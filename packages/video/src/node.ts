/** Entry `@lvsa/video/node`: video files written and read by Node. */

export {
  besidePath,
  isRunning,
  makeFolder,
  partialPath,
  removeStalePartials,
} from "./node/partial-path.js";
export { type ReadVideo, type ReadVideoOptions, readVideo } from "./node/read-video.js";
export { nodeVideoBackends } from "./node/video-backends.js";
export {
  checkVideoOutput,
  type WriteVideoOptions,
  type WrittenVideo,
  writeVideo,
} from "./node/write-video.js";
