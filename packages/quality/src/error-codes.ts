// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const QUALITY_ERROR_CODES: Readonly<
  Record<QualityErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** the clip's … is …, expected a positive integer */
  CLIP_SIZE: { fault: "run" },
  /** the clip has … frame; change in time needs at least two */
  CLIP_TOO_SHORT: { fault: "usage" },
  /** there are no … to compare */
  COMPARE_OPTIONS: { fault: "usage" },
};

export type QualityErrorCode =
  | "CLIP_SIZE"
  | "CLIP_TOO_SHORT"
  | "COMPARE_OPTIONS";
