// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const CORE_ERROR_CODES: Readonly<Record<CoreErrorCode, { readonly usage: boolean }>> = {
  /** LVSA for … models does not fit a … model */
  ADAPTER_FAMILY: { usage: false },
  /** an attention backend named … is registered already */
  BACKEND_EXISTS: { usage: false },
  /** attention backend … (chosen by …) … */
  BACKEND_UNFIT: { usage: false },
  /** attention: … is …; expected f32, f16 or bf16 */
  BAD_DTYPE: { usage: false },
  /** …..… is no range of tokens in the row of queries …..… */
  BAD_RANGE: { usage: false },
  /** attention: one head of the keys … … is … bytes, the device binds at most … */
  BINDING_TOO_LARGE: { usage: false },
  /** rank … of … gathered … times, another rank more often */
  COLLECTIVE_MISMATCH: { usage: false },
  /** LVSA (…) would fall back to dense attention: …, … tokens… */
  DENSE_FALLBACK: { usage: false },
  /** the attention layout was disposed */
  DISPOSED: { usage: false },
  /** Window 0, no leading frames and no keyframes leave every query without a single key. */
  EMPTY_PATTERN: { usage: false },
  INVALID_ATTENTION_CONFIG: { usage: true },
  /** … is …; expected a positive integer. */
  INVALID_GEOMETRY: { usage: false },
  /** Bad LVSA …. …. */
  INVALID_LVSA_CONFIG: { usage: true },
  /** … is …; expected an integer …. */
  INVALID_PATTERN: { usage: false },
  /** RIFLEx frequency … does not exist; this model has … temporal frequencies. */
  INVALID_RIFLEX_FREQUENCY: { usage: true },
  /** The RIFLEx scale is …; expected a positive number. */
  INVALID_RIFLEX_SCALE: { usage: true },
  /** The sparsity scale is … with … reference frames; their product must be a finite number. */
  INVALID_SPARSITY_SCALE: { usage: true },
  /** … ranks cannot share a clip */
  INVALID_WORLD_SIZE: { usage: false },
  /** both … and … want the attention layer … */
  LAYER_CLAIMED: { usage: false },
  /** … ranks cannot share … tokens equally */
  NOT_DIVISIBLE: { usage: false },
  /** the host shows no transformer for LVSA on … */
  NO_LAYERS: { usage: false },
  /** an attention schedule was given, and calls do not say their step */
  NO_STEP: { usage: false },
  /** ranges …..… and …..… of the row of queries …..… overlap: their keys would count twice */
  OVERLAPPING_RANGES: { usage: false },
  /** This model has no rotary table with a temporal part; RIFLEx can not be applied. */
  RIFLEX_UNSUPPORTED: { usage: true },
  /** Row … was asked for; the pattern has …. */
  ROW_OUT_OF_RANGE: { usage: false },
  /** … latent frames x … tokens = … tokens can not be split evenly over … ranks (… left over). */
  SEQUENCE_NOT_DIVISIBLE: { usage: false },
  /** Unknown adapter '…'. Available adapters: … */
  UNKNOWN_ADAPTER: { usage: false },
  /** there is no attention backend named … */
  UNKNOWN_BACKEND: { usage: true },
};

export type CoreErrorCode =
  | "ADAPTER_FAMILY"
  | "BACKEND_EXISTS"
  | "BACKEND_UNFIT"
  | "BAD_DTYPE"
  | "BAD_RANGE"
  | "BINDING_TOO_LARGE"
  | "COLLECTIVE_MISMATCH"
  | "DENSE_FALLBACK"
  | "DISPOSED"
  | "EMPTY_PATTERN"
  | "INVALID_ATTENTION_CONFIG"
  | "INVALID_GEOMETRY"
  | "INVALID_LVSA_CONFIG"
  | "INVALID_PATTERN"
  | "INVALID_RIFLEX_FREQUENCY"
  | "INVALID_RIFLEX_SCALE"
  | "INVALID_SPARSITY_SCALE"
  | "INVALID_WORLD_SIZE"
  | "LAYER_CLAIMED"
  | "NOT_DIVISIBLE"
  | "NO_LAYERS"
  | "NO_STEP"
  | "OVERLAPPING_RANGES"
  | "RIFLEX_UNSUPPORTED"
  | "ROW_OUT_OF_RANGE"
  | "SEQUENCE_NOT_DIVISIBLE"
  | "UNKNOWN_ADAPTER"
  | "UNKNOWN_BACKEND";
