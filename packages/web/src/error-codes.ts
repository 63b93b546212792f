// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const WEB_ERROR_CODES: Readonly<
  Record<WebErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** the generation was stopped */
  ABORTED: { fault: "run" },
  /** files.json lists no files: … */
  BAD_FILE_LIST: { fault: "run" },
  /** loras: the file … is not there. */
  BAD_OPTION: { fault: "usage" },
  /** what came has …, which is not what the list of files says. */
  CHECKSUM: { fault: "run" },
  /** the file can not be loaded: … */
  DOWNLOAD_FAILED: { fault: "run" },
  /** the browser's encoder failed at …: … */
  ENCODER_FAILED: { fault: "run" },
  /** the generator was disposed before. */
  GENERATOR_DISPOSED: { fault: "usage" },
  /** the list of files names it, and the server has none. */
  MISSING_FILE: { fault: "run" },
  /** this clip needs about … of memory (in …)…. */
  NOT_ENOUGH_MEMORY: { fault: "run" },
  /** the options can not be sent to the worker: … */
  NOT_SENDABLE: { fault: "usage" },
  /** there is no model_index.json and no file of weights in …. */
  NO_CHECKPOINT: { fault: "usage" },
  /** no run is kept under the name "…". */
  NO_KEPT_RUN: { fault: "usage" },
  /** no model is open in this worker. */
  NO_MODEL: { fault: "usage" },
  STORE_FULL: { fault: "run" },
  /** this browser keeps no files for the page: … */
  STORE_UNAVAILABLE: { fault: "run" },
  /** the worker is gone: …. */
  WORKER_GONE: { fault: "run" },
};

export type WebErrorCode =
  | "ABORTED"
  | "BAD_FILE_LIST"
  | "BAD_OPTION"
  | "CHECKSUM"
  | "DOWNLOAD_FAILED"
  | "ENCODER_FAILED"
  | "GENERATOR_DISPOSED"
  | "MISSING_FILE"
  | "NOT_ENOUGH_MEMORY"
  | "NOT_SENDABLE"
  | "NO_CHECKPOINT"
  | "NO_KEPT_RUN"
  | "NO_MODEL"
  | "STORE_FULL"
  | "STORE_UNAVAILABLE"
  | "WORKER_GONE";
