// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const RUNTIME_ERROR_CODES: Readonly<Record<RuntimeErrorCode, { readonly usage: boolean }>> = {
  /** … was stopped */
  ABORTED: { usage: false },
  /** … of … tensors belong to a LoRA or another adapter, the first is …. */
  ADAPTER_IN_WEIGHTS: { usage: false },
  /** "…" is no address. */
  BAD_ADDRESS: { usage: false },
  /** tensor … […] is not made of whole blocks of …. */
  BAD_TENSOR: { usage: false },
  /** kernel … has … bindings, … tensors were given */
  BINDING_COUNT: { usage: false },
  /** kernel …: … … … is … bytes, the device binds at most … */
  BINDING_TOO_LARGE: { usage: false },
  /** a … tensor … needs … bytes, the device allows … per buffer */
  BUFFER_TOO_LARGE: { usage: false },
  /** … bytes do not fit into a buffer of …. */
  BUFFER_TOO_SMALL: { usage: false },
  /** the device was disposed */
  DEVICE_DISPOSED: { usage: false },
  /** the GPU device was lost: … */
  DEVICE_LOST: { usage: false },
  /** kernel …: tensor … was disposed */
  DISPOSED: { usage: false },
  /** read gives f32, which does not hold every … */
  DTYPE_MISMATCH: { usage: false },
  /** the header names tensor … twice. */
  DUPLICATE_TENSOR: { usage: false },
  GPU_ERROR: { usage: false },
  HEADER_INVALID: { usage: false },
  HEADER_NOT_JSON: { usage: false },
  /** the header claims … bytes, at most … are accepted. */
  HEADER_TOO_LARGE: { usage: false },
  /** the listing of … …. */
  HUB_ANSWER: { usage: false },
  /** the index places tensor … in …, but it is …. */
  INDEX_MISMATCH: { usage: false },
  /** … can not run …: … */
  KERNEL_RULE: { usage: false },
  /** there is no tensor … among ……. */
  MISSING_TENSOR: { usage: false },
  /** there is no such file. */
  NOT_FOUND: { usage: false },
  /** WebGPU found no adapter */
  NO_ADAPTER: { usage: false },
  /** … has no timestamp queries to profile with */
  NO_TIMESTAMPS: { usage: false },
  /** this environment has no WebGPU */
  NO_WEBGPU: { usage: false },
  /** the package `webgpu` is not installed or does not load here */
  NO_WEBGPU_PACKAGE: { usage: false },
  /** the repository is not in the cache, and HF_HUB_OFFLINE forbids asking for it. */
  OFFLINE: { usage: false },
  /** tensor … begins at data byte …, beyond the file's … bytes. */
  OFFSETS_NOT_CONTIGUOUS: { usage: false },
  /** tensor … begins at data byte …, beyond the file's … bytes. */
  OFFSETS_OVERLAP: { usage: false },
  /** tensor … begins at data byte …, beyond the file's … bytes. */
  OFFSET_OUT_OF_RANGE: { usage: false },
  /** the GPU has no memory for another … bytes: … */
  OUT_OF_MEMORY: { usage: false },
  /** the file is a pickle of PyTorch, which can run any program when it is read. */
  PICKLED_WEIGHTS: { usage: false },
  /** bytes … to … are outside of tensor … (… bytes). */
  RANGE_OUTSIDE_TENSOR: { usage: false },
  /** tensor … is read in whole elements of … bytes. */
  RANGE_SPLITS_ELEMENT: { usage: false },
  /** the GPU did not hand a tensor back */
  READ_FAILED: { usage: false },
  /** shader … does not compile: … */
  SHADER_ERROR: { usage: false },
  /** tensor … holds … elements, … were given */
  SHAPE_MISMATCH: { usage: false },
  /** tensor … (…, […]) takes no whole number of blocks and bytes. */
  SIZE_MISMATCH: { usage: false },
  /** … bytes do not fit into one array. */
  TOO_LARGE: { usage: false },
  /** the file had … bytes when it was opened and now ends at byte …. */
  TRUNCATED: { usage: false },
  /** cannot … */
  UNALIGNED_VIEW: { usage: false },
  /** kernel … may read or write outside of its tensors, and this device does not check indices */
  UNCHECKED_KERNEL: { usage: false },
  /** tensor … is quantized with …, which can not be read. */
  UNKNOWN_DTYPE: { usage: false },
  /** element … of … is …, which does not fit into F16. */
  UNSUPPORTED_DTYPE: { usage: false },
  /** tensor … is quantized with …, which can not be read. */
  UNSUPPORTED_QUANTIZATION: { usage: false },
  /** tensor … is …, the model expects …. */
  WRONG_SHAPE: { usage: false },
};

export type RuntimeErrorCode =
  | "ABORTED"
  | "ADAPTER_IN_WEIGHTS"
  | "BAD_ADDRESS"
  | "BAD_TENSOR"
  | "BINDING_COUNT"
  | "BINDING_TOO_LARGE"
  | "BUFFER_TOO_LARGE"
  | "BUFFER_TOO_SMALL"
  | "DEVICE_DISPOSED"
  | "DEVICE_LOST"
  | "DISPOSED"
  | "DTYPE_MISMATCH"
  | "DUPLICATE_TENSOR"
  | "GPU_ERROR"
  | "HEADER_INVALID"
  | "HEADER_NOT_JSON"
  | "HEADER_TOO_LARGE"
  | "HUB_ANSWER"
  | "INDEX_MISMATCH"
  | "KERNEL_RULE"
  | "MISSING_TENSOR"
  | "NOT_FOUND"
  | "NO_ADAPTER"
  | "NO_TIMESTAMPS"
  | "NO_WEBGPU"
  | "NO_WEBGPU_PACKAGE"
  | "OFFLINE"
  | "OFFSETS_NOT_CONTIGUOUS"
  | "OFFSETS_OVERLAP"
  | "OFFSET_OUT_OF_RANGE"
  | "OUT_OF_MEMORY"
  | "PICKLED_WEIGHTS"
  | "RANGE_OUTSIDE_TENSOR"
  | "RANGE_SPLITS_ELEMENT"
  | "READ_FAILED"
  | "SHADER_ERROR"
  | "SHAPE_MISMATCH"
  | "SIZE_MISMATCH"
  | "TOO_LARGE"
  | "TRUNCATED"
  | "UNALIGNED_VIEW"
  | "UNCHECKED_KERNEL"
  | "UNKNOWN_DTYPE"
  | "UNSUPPORTED_DTYPE"
  | "UNSUPPORTED_QUANTIZATION"
  | "WRONG_SHAPE";
