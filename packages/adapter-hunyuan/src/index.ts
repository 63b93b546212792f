export { type AdapterOptions, installLvsa } from "@lvsa/core";
export { createHunyuanAdapter, HunyuanAdapter } from "./hunyuan-adapter.js";
export { VERSION } from "./version.js";
