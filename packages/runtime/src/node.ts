export * from "./node/create-device.js";
export * from "./node/file-source.js";
export { type AdapterName, listAdapters } from "./node/list-adapters.js";
