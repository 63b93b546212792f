export { type AdapterOptions, installLvsa } from "@lvsa/core";
export { VERSION } from "./version.js";
export { createWanAdapter, WanAdapter } from "./wan-adapter.js";
