export * from "./bench/bench-attention.js";
export * from "./bench/interleaved.js";
