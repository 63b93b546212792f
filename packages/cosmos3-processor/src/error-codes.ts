// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const COSMOS3_PROCESSOR_ERROR_CODES: Readonly<Record<Cosmos3ProcessorErrorCode, { readonly usage: boolean }>> = {
  /** LVSA on Cosmos 3 takes one video at a time, got a batch of … */
  BATCH_UNSUPPORTED: { usage: false },
  /** the transformer does not say what length it was trained on */
  NO_REFERENCE_FRAMES: { usage: false },
  /** Cosmos 3: … video tokens…; LVSA was installed for … latent frames of … tokens = … */
  WRONG_LENGTH: { usage: false },
};

export type Cosmos3ProcessorErrorCode =
  | "BATCH_UNSUPPORTED"
  | "NO_REFERENCE_FRAMES"
  | "WRONG_LENGTH";
