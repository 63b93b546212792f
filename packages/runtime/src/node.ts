export * from "./node/create-device.js";
export * from "./node/file-source.js";
