export { type NoiseDType, TorchCpuGenerator } from "./torch-generator.js";
