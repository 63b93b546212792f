export { installLvsa } from "@lvsa/core";
export { createHunyuanAdapter, HunyuanAdapter } from "./hunyuan-adapter.js";
export type { HunyuanAdapterOptions } from "./hunyuan-options.js";
export { VERSION } from "./version.js";
