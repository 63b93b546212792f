// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const HOOKS_ERROR_CODES: Readonly<
  Record<HooksErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** … is on, and … does not load */
  ADAPTER_MISSING: { fault: "input" },
  /** … exports no function … */
  ADAPTER_UNFIT: { fault: "input" },
  /** LVSA_WINDOW_SIZE …, LVSA_N_FIRST_FRAMES … and LVSA_KEY_FRAME_INTERVAL … are all below one latent frame (… video frames): every query would attend to nothing */
  EMPTY_PATTERN: { fault: "input" },
  /** the hook of … goes by …, which is no LVSA_<NAME>_HOOK */
  HOOK_VARIABLE: { fault: "input" },
  /** Bad settings of the backend LVSA for the role …. …. */
  INVALID_OPTION: { fault: "usage" },
  INVALID_VARIABLE: { fault: "usage" },
  /** nobody knows the training length of this model */
  NO_REFERENCE_FRAMES: { fault: "input" },
  /** text tokens came both in the sequence and beside it */
  TEXT_TWICE: { fault: "input" },
};

export type HooksErrorCode =
  | "ADAPTER_MISSING"
  | "ADAPTER_UNFIT"
  | "EMPTY_PATTERN"
  | "HOOK_VARIABLE"
  | "INVALID_OPTION"
  | "INVALID_VARIABLE"
  | "NO_REFERENCE_FRAMES"
  | "TEXT_TWICE";
