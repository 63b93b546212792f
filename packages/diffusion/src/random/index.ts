export { parseSeed, plainSeed, randomSeed, type Seed, seedForJson, seedProblem } from "./seed.js";
export { type NoiseDType, TorchCpuGenerator } from "./torch-generator.js";
