// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const SOFTWARE_ADAPTER_ERROR_CODES: Readonly<
  Record<SoftwareAdapterErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  SOFTWARE_ADAPTER_ARCHIVE_DAMAGED: { fault: "run" },
  /** … is not installed. */
  SOFTWARE_ADAPTER_ARCHIVE_MISSING: { fault: "run" },
  /** the Vulkan loader can not be loaded: … */
  SOFTWARE_ADAPTER_NOT_LOADED: { fault: "run" },
  /** no folder to unpack the driver into. Tried …. */
  SOFTWARE_ADAPTER_NOT_UNPACKED: { fault: "run" },
  /** the embedded software driver exists for linux x64 only; this is … …. */
  SOFTWARE_ADAPTER_UNSUPPORTED_PLATFORM: { fault: "run" },
};

export type SoftwareAdapterErrorCode =
  | "SOFTWARE_ADAPTER_ARCHIVE_DAMAGED"
  | "SOFTWARE_ADAPTER_ARCHIVE_MISSING"
  | "SOFTWARE_ADAPTER_NOT_LOADED"
  | "SOFTWARE_ADAPTER_NOT_UNPACKED"
  | "SOFTWARE_ADAPTER_UNSUPPORTED_PLATFORM";
