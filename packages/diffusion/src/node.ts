/** Entry `@lvsa/diffusion/node`: what every program in Node needs besides, so that it can do without `@lvsa/runtime`. */
export { createDevice, fileSource, type NodeDeviceOptions, nodeFile, nodeFolder } from "@lvsa/runtime/node";
export {
  type CheckpointFiles,
  type ComponentFile,
  type OpenCheckpointOptions,
  type OpenedCheckpoint,
  openCheckpoint,
} from "./checkpoint/single-file/open-checkpoint.js";
export { ProcessGroup, type ProcessGroupOptions } from "./node/process-group.js";
