export { installLvsa } from "@lvsa/core";
export { VERSION } from "./version.js";
export { createWanAdapter, WanAdapter } from "./wan-adapter.js";
export type { WanAdapterOptions } from "./wan-options.js";
