// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const HOOKS_ERROR_CODES: Readonly<Record<HooksErrorCode, { readonly usage: boolean }>> = {
  /** … is on, and … does not load */
  ADAPTER_MISSING: { usage: false },
  /** … exports no function … */
  ADAPTER_UNFIT: { usage: false },
  /** LVSA_WINDOW_SIZE …, LVSA_N_FIRST_FRAMES … and LVSA_KEY_FRAME_INTERVAL … are all below one latent frame (… video frames): every query would attend to nothing */
  EMPTY_PATTERN: { usage: false },
  /** the hook of … goes by …, which is no LVSA_<NAME>_HOOK */
  HOOK_VARIABLE: { usage: false },
  /** Bad settings of the backend LVSA for the role …. …. */
  INVALID_OPTION: { usage: true },
  INVALID_VARIABLE: { usage: true },
  /** nobody knows the training length of this model */
  NO_REFERENCE_FRAMES: { usage: false },
  /** text tokens came both in the sequence and beside it */
  TEXT_TWICE: { usage: false },
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
