// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const COSMOS3_PROCESSOR_ERROR_CODES: Readonly<
  Record<Cosmos3ProcessorErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** LVSA on Cosmos 3 takes one video at a time, got a batch of … */
  BATCH_UNSUPPORTED: { fault: "run" },
  /** the transformer does not say what length it was trained on */
  NO_REFERENCE_FRAMES: { fault: "input" },
  /** Cosmos 3: … video tokens…; LVSA was installed for … latent frames of … tokens = … */
  WRONG_LENGTH: { fault: "input" },
};

export type Cosmos3ProcessorErrorCode =
  | "BATCH_UNSUPPORTED"
  | "NO_REFERENCE_FRAMES"
  | "WRONG_LENGTH";
