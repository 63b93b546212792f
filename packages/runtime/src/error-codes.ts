// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const RUNTIME_ERROR_CODES: Readonly<
  Record<RuntimeErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** … was stopped */
  ABORTED: { fault: "run" },
  /** … of … tensors belong to a LoRA or another adapter, the first is …. */
  ADAPTER_IN_WEIGHTS: { fault: "input" },
  /** "…" is no address. */
  BAD_ADDRESS: { fault: "input" },
  BAD_OPTION: { fault: "usage" },
  /** tensor … […] is not made of whole blocks of …. */
  BAD_TENSOR: { fault: "input" },
  /** kernel … has … bindings, … tensors were given */
  BINDING_COUNT: { fault: "run" },
  /** kernel …: … … … is … bytes, the device binds at most … */
  BINDING_TOO_LARGE: { fault: "run" },
  /** a … needs … bytes, the device allows … per buffer */
  BUFFER_TOO_LARGE: { fault: "run" },
  /** … bytes do not fit into a buffer of …. */
  BUFFER_TOO_SMALL: { fault: "run" },
  /** the card …… could not be picked: … */
  CARD_NOT_SHOWN: { fault: "run" },
  /** the hash of the file is …, the Hub says …. */
  CHECKSUM: { fault: "run" },
  /** the device was disposed */
  DEVICE_DISPOSED: { fault: "run" },
  /** the GPU device was lost: … */
  DEVICE_LOST: { fault: "run" },
  /** kernel …: tensor … was disposed */
  DISPOSED: { fault: "run" },
  /** a tensor of … holds blocks, which stand for no numbers by themselves */
  DTYPE_MISMATCH: { fault: "run" },
  /** the header names tensor … twice. */
  DUPLICATE_TENSOR: { fault: "input" },
  /** an exchange between ranks failed */
  EXCHANGE_FAILED: { fault: "run" },
  GPU_ERROR: { fault: "run" },
  HEADER_INVALID: { fault: "input" },
  HEADER_NOT_JSON: { fault: "input" },
  HEADER_TOO_LARGE: { fault: "input" },
  /** the listing of … …. */
  HUB_ANSWER: { fault: "run" },
  /** the index places tensor … in …, but it is …. */
  INDEX_MISMATCH: { fault: "input" },
  /** … can not run …: … */
  KERNEL_RULE: { fault: "run" },
  /** there is no tensor … among ……. */
  MISSING_TENSOR: { fault: "input" },
  /** this is a folder. */
  NOT_A_FILE: { fault: "input" },
  /** there is no such file. */
  NOT_FOUND: { fault: "input" },
  /** the links lead in a circle. */
  NOT_READABLE: { fault: "input" },
  /** the file is not text in UTF-8. */
  NOT_TEXT: { fault: "input" },
  /** the server answered HTTP …. */
  NO_ACCESS: { fault: "input" },
  /** WebGPU found no adapter */
  NO_ADAPTER: { fault: "run" },
  /** no GPU driver named "…" was found */
  NO_SUCH_ADAPTER: { fault: "usage" },
  /** … has no timestamp queries to profile with */
  NO_TIMESTAMPS: { fault: "run" },
  /** this environment has no WebGPU */
  NO_WEBGPU: { fault: "run" },
  /** the package `webgpu` is not installed or does not load here */
  NO_WEBGPU_PACKAGE: { fault: "run" },
  /** …, and HF_HUB_OFFLINE forbids asking for it. */
  OFFLINE: { fault: "input" },
  /** tensor … begins at data byte …, beyond the file's … bytes. */
  OFFSETS_NOT_CONTIGUOUS: { fault: "input" },
  /** tensor … begins at data byte …, beyond the file's … bytes. */
  OFFSETS_OVERLAP: { fault: "input" },
  /** tensor … begins at data byte …, beyond the file's … bytes. */
  OFFSET_OUT_OF_RANGE: { fault: "input" },
  /** the GPU has no memory for another … bytes: … */
  OUT_OF_MEMORY: { fault: "run" },
  /** the file is a pickle of PyTorch, which can run any program when it is read. */
  PICKLED_WEIGHTS: { fault: "input" },
  /** bytes … to … are outside of tensor … (… bytes). */
  RANGE_OUTSIDE_TENSOR: { fault: "run" },
  /** tensor … is read in whole elements of … bytes. */
  RANGE_SPLITS_ELEMENT: { fault: "run" },
  /** the GPU did not hand a tensor back */
  READ_FAILED: { fault: "run" },
  /** shader … does not compile: … */
  SHADER_ERROR: { fault: "run" },
  /** tensor … holds … elements, … were given */
  SHAPE_MISMATCH: { fault: "run" },
  /** tensor … (…, […]) takes no whole number of blocks and bytes. */
  SIZE_MISMATCH: { fault: "input" },
  /** the file is … of … that belong together. */
  SPLIT_FILE: { fault: "input" },
  /** … bytes do not fit into one array. */
  TOO_LARGE: { fault: "input" },
  /** the file had … bytes when it was opened and now ends at byte …. */
  TRUNCATED: { fault: "input" },
  /** cannot … */
  UNALIGNED_VIEW: { fault: "run" },
  /** kernel … may read or write outside of its tensors, and this device does not check indices */
  UNCHECKED_KERNEL: { fault: "run" },
  /** there is no graphics card … */
  UNKNOWN_CARD: { fault: "usage" },
  /** tensor … is quantized with …, which can not be read. */
  UNKNOWN_DTYPE: { fault: "input" },
  /** element … of … is …, which does not fit into F16. */
  UNSUPPORTED_DTYPE: { fault: "input" },
  /** tensor … is quantized with …, which can not be read. */
  UNSUPPORTED_QUANTIZATION: { fault: "input" },
  /** the cache can not be written: … */
  WRITE_FAILED: { fault: "run" },
  /** tensor … is …, the model expects …. */
  WRONG_SHAPE: { fault: "input" },
};

export type RuntimeErrorCode =
  | "ABORTED"
  | "ADAPTER_IN_WEIGHTS"
  | "BAD_ADDRESS"
  | "BAD_OPTION"
  | "BAD_TENSOR"
  | "BINDING_COUNT"
  | "BINDING_TOO_LARGE"
  | "BUFFER_TOO_LARGE"
  | "BUFFER_TOO_SMALL"
  | "CARD_NOT_SHOWN"
  | "CHECKSUM"
  | "DEVICE_DISPOSED"
  | "DEVICE_LOST"
  | "DISPOSED"
  | "DTYPE_MISMATCH"
  | "DUPLICATE_TENSOR"
  | "EXCHANGE_FAILED"
  | "GPU_ERROR"
  | "HEADER_INVALID"
  | "HEADER_NOT_JSON"
  | "HEADER_TOO_LARGE"
  | "HUB_ANSWER"
  | "INDEX_MISMATCH"
  | "KERNEL_RULE"
  | "MISSING_TENSOR"
  | "NOT_A_FILE"
  | "NOT_FOUND"
  | "NOT_READABLE"
  | "NOT_TEXT"
  | "NO_ACCESS"
  | "NO_ADAPTER"
  | "NO_SUCH_ADAPTER"
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
  | "SPLIT_FILE"
  | "TOO_LARGE"
  | "TRUNCATED"
  | "UNALIGNED_VIEW"
  | "UNCHECKED_KERNEL"
  | "UNKNOWN_CARD"
  | "UNKNOWN_DTYPE"
  | "UNSUPPORTED_DTYPE"
  | "UNSUPPORTED_QUANTIZATION"
  | "WRITE_FAILED"
  | "WRONG_SHAPE";
