/** What `@lvsa/runtime` shows of its weights code. */

export { type Arrangement, arrangeWeights } from "./arranged-weights.js";
export { type ByteSource, blobSource, memorySource } from "./byte-source.js";
export type { ScaledDType } from "./converted-tensor.js";
export {
  type FolderReader,
  type HttpFolderOptions,
  httpFolder,
  joinPath,
  memoryFolder,
  subFolder,
} from "./folder.js";
export { type FilePlace, folderOf } from "./folder-of.js";
export type { GgmlQuantization } from "./gguf/ggml-types.js";
export type { GgufScalar, GgufValue } from "./gguf/gguf-cursor.js";
export type { GgufWeights, OpenGgufOptions } from "./gguf/gguf-weights.js";
export type { GgufLayout, GgufTensorToWrite, GgufType } from "./gguf/gguf-writer.js";
export type { WeightsErrorCode } from "./header.js";
export type { HttpSourceOptions } from "./http/exchange.js";
export { httpSource } from "./http/http-source.js";
export { readAhead } from "./http/read-ahead.js";
export { namingTensor } from "./naming-tensor.js";
export { type OpenFileOptions, openWeightsFile, type WeightsFile } from "./open-file.js";
export {
  DIFFUSERS_WEIGHTS,
  type OpenWeightsOptions,
  openWeights,
  TRANSFORMERS_WEIGHTS,
  type WeightsVariant,
} from "./open-weights.js";
export { quantizeE4M3, quantizeQ4_K, quantizeQ8_0 } from "./packed/quantize-blocks.js";
export { type SafetensorsDType, storedByteLength } from "./safetensors-dtype.js";
export { expectTensor, openSafetensors } from "./safetensors-weights.js";
export {
  encodeSafetensors,
  layOutSafetensors,
  type SafetensorsLayout,
  type TensorToWrite,
} from "./safetensors-writer.js";
export { openShardedSafetensors } from "./shard-index.js";
export {
  type UploadManyOptions,
  type UploadOptions,
  uploadedDType,
  uploadPacked,
  uploadTensor,
  uploadTensors,
} from "./upload.js";
export { uploadMerged } from "./upload-merged.js";
export { PrefixedWeights } from "./weight-names.js";
export {
  type ByteRange,
  type MatrixChange,
  type MergedTensor,
  type OnChunk,
  type PackedTensor,
  STREAM_CHUNK_BYTES,
  type StoredType,
  type TensorInfo,
  type WeightSource,
} from "./weight-source.js";
export { type WidenedData, widen } from "./widen.js";
