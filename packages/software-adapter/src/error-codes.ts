// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const SOFTWARE_ADAPTER_ERROR_CODES: Readonly<Record<SoftwareAdapterErrorCode, { readonly usage: boolean }>> = {
  SOFTWARE_ADAPTER_ARCHIVE_DAMAGED: { usage: false },
  /** … is not installed. */
  SOFTWARE_ADAPTER_ARCHIVE_MISSING: { usage: false },
  /** the Vulkan loader can not be loaded: … */
  SOFTWARE_ADAPTER_NOT_LOADED: { usage: false },
  /** no folder to unpack the driver into. Tried …. */
  SOFTWARE_ADAPTER_NOT_UNPACKED: { usage: false },
  /** the embedded software driver exists for linux x64 only; this is … …. */
  SOFTWARE_ADAPTER_UNSUPPORTED_PLATFORM: { usage: false },
};

export type SoftwareAdapterErrorCode =
  | "SOFTWARE_ADAPTER_ARCHIVE_DAMAGED"
  | "SOFTWARE_ADAPTER_ARCHIVE_MISSING"
  | "SOFTWARE_ADAPTER_NOT_LOADED"
  | "SOFTWARE_ADAPTER_NOT_UNPACKED"
  | "SOFTWARE_ADAPTER_UNSUPPORTED_PLATFORM";
