// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const WEB_ERROR_CODES: Readonly<Record<WebErrorCode, { readonly usage: boolean }>> = {
  /** the generation was stopped */
  ABORTED: { usage: false },
  /** files.json lists no files: … */
  BAD_FILE_LIST: { usage: false },
  /** what came has …, which is not what the list of files says. */
  CHECKSUM: { usage: false },
  /** the file can not be loaded: … */
  DOWNLOAD_FAILED: { usage: false },
  /** the browser's encoder failed at …: … */
  ENCODER_FAILED: { usage: false },
  /** the generator was disposed before. */
  GENERATOR_DISPOSED: { usage: true },
  /** the list of files names it, and the server has none. */
  MISSING_FILE: { usage: false },
  /** this clip needs about … of memory (in …)…. */
  NOT_ENOUGH_MEMORY: { usage: false },
  /** the options can not be sent to the worker: … */
  NOT_SENDABLE: { usage: true },
  /** there is no model_index.json in …. */
  NO_CHECKPOINT: { usage: true },
  /** no run is kept under the name "…". */
  NO_KEPT_RUN: { usage: true },
  /** no model is open in this worker. */
  NO_MODEL: { usage: true },
  /** the browser gives this page no more room for files. */
  STORE_FULL: { usage: false },
  /** this browser keeps no files for the page: … */
  STORE_UNAVAILABLE: { usage: false },
  /** the worker is gone: …. */
  WORKER_GONE: { usage: false },
};

export type WebErrorCode =
  | "ABORTED"
  | "BAD_FILE_LIST"
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
