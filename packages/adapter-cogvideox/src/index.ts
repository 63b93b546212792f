export { type AdapterOptions, installLvsa } from "@lvsa/core";
export { CogVideoXAdapter, createCogVideoXAdapter } from "./cogvideox-adapter.js";
export { VERSION } from "./version.js";
