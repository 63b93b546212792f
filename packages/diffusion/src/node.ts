// What every program needs besides, so that it can depend on this package alone.
export { createDevice, type NodeDeviceOptions, nodeFolder } from "@lvsa/runtime/node";
export { nodeVideoBackends } from "./node/video-backends.js";
export {
  checkVideoOutput,
  type WriteVideoOptions,
  type WrittenVideo,
  writeVideo,
} from "./node/write-video.js";
