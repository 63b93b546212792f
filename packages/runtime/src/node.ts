export * from "./node/create-device.js";
