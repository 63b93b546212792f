/** Entry `@lvsa/runtime/gguf`: GGUF files, read and written. Folders and files of weights load it when they meet one. */
export type { GgmlQuantization } from "./weights/gguf/ggml-types.js";
export type { GgufScalar, GgufValue } from "./weights/gguf/gguf-cursor.js";
export { isGguf } from "./weights/gguf/gguf-header.js";
export { type GgufWeights, type OpenGgufOptions, openGguf } from "./weights/gguf/gguf-weights.js";
export {
  encodeGguf,
  fitsGgufType,
  type GgufLayout,
  type GgufTensorToWrite,
  type GgufType,
  layOutGguf,
} from "./weights/gguf/gguf-writer.js";
