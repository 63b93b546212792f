export * from "./testing/compare.js";
export * from "./testing/device.js";
export * from "./testing/golden.js";
export * from "./testing/pretend-device.js";
export * from "./testing/random.js";
export * from "./testing/read-safetensors.js";
export * from "./testing/reference.js";
export * from "./testing/shader-job.js";
