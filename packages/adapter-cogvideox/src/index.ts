export { installLvsa } from "@lvsa/core";
export { CogVideoXAdapter, createCogVideoXAdapter } from "./cogvideox-adapter.js";
export type { CogVideoXAdapterOptions } from "./cogvideox-options.js";
export { VERSION } from "./version.js";
