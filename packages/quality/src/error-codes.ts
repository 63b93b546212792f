// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const QUALITY_ERROR_CODES: Readonly<Record<QualityErrorCode, { readonly usage: boolean }>> = {
  /** the clip's … is …, expected a positive integer */
  CLIP_SIZE: { usage: false },
  /** the clip has … frame; change in time needs at least two */
  CLIP_TOO_SHORT: { usage: true },
  /** there are no … to compare */
  COMPARE_OPTIONS: { usage: true },
};

export type QualityErrorCode =
  | "CLIP_SIZE"
  | "CLIP_TOO_SHORT"
  | "COMPARE_OPTIONS";
