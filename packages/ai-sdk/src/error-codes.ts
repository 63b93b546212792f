// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const AI_SDK_ERROR_CODES: Readonly<Record<AiSdkErrorCode, { readonly usage: boolean }>> = {
  BAD_OPTION: { usage: true },
};

export type AiSdkErrorCode =
  | "BAD_OPTION";
