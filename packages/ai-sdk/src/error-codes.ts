// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const AI_SDK_ERROR_CODES: Readonly<
  Record<AiSdkErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  BAD_OPTION: { fault: "usage" },
};

export type AiSdkErrorCode =
  | "BAD_OPTION";
