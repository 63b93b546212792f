// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const CORE_ERROR_CODES: Readonly<
  Record<CoreErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** LVSA for … models does not fit a … model */
  ADAPTER_FAMILY: { fault: "input" },
  /** an attention backend named … is registered already */
  BACKEND_EXISTS: { fault: "input" },
  /** attention backend … (chosen by …) … */
  BACKEND_UNFIT: { fault: "input" },
  /** attention: … is …; expected f32, f16 or bf16 */
  BAD_DTYPE: { fault: "run" },
  /** …..… is no range of tokens in the row of queries …..… */
  BAD_RANGE: { fault: "run" },
  /** attention: one head of the keys … … is … bytes, the device binds at most … */
  BINDING_TOO_LARGE: { fault: "run" },
  /** rank … of … gathered … times, another rank more often */
  COLLECTIVE_MISMATCH: { fault: "run" },
  /** LVSA (…) would fall back to dense attention: …, … tokens… */
  DENSE_FALLBACK: { fault: "input" },
  /** the attention layout was disposed */
  DISPOSED: { fault: "run" },
  /** Window 0, no leading frames and no keyframes leave every query without a single key. */
  EMPTY_PATTERN: { fault: "input" },
  INVALID_ATTENTION_CONFIG: { fault: "usage" },
  /** … is …; expected a positive integer. */
  INVALID_GEOMETRY: { fault: "input" },
  /** Bad LVSA …. …. */
  INVALID_LVSA_CONFIG: { fault: "usage" },
  /** … is …; expected an integer …. */
  INVALID_PATTERN: { fault: "input" },
  /** RIFLEx frequency … does not exist; this model has … temporal frequencies. */
  INVALID_RIFLEX_FREQUENCY: { fault: "usage" },
  /** The RIFLEx scale is …; expected a positive number. */
  INVALID_RIFLEX_SCALE: { fault: "usage" },
  /** The sparsity scale is … with … reference frames; their product must be a finite number. */
  INVALID_SPARSITY_SCALE: { fault: "usage" },
  /** … ranks cannot share a clip */
  INVALID_WORLD_SIZE: { fault: "input" },
  /** both … and … want the attention layer … */
  LAYER_CLAIMED: { fault: "input" },
  /** a hook hides keys of a clip that ranks share, and knows its own rank's only */
  MASKED_SHARD: { fault: "input" },
  /** … ranks cannot share … tokens equally */
  NOT_DIVISIBLE: { fault: "input" },
  /** the host shows no transformer for LVSA on … */
  NO_LAYERS: { fault: "input" },
  /** an attention schedule was given, and calls do not say their step */
  NO_STEP: { fault: "input" },
  /** ranges …..… and …..… of the row of queries …..… overlap: their keys would count twice */
  OVERLAPPING_RANGES: { fault: "run" },
  /** This model has no rotary table with a temporal part; RIFLEx can not be applied. */
  RIFLEX_UNSUPPORTED: { fault: "usage" },
  /** Row … was asked for; the pattern has …. */
  ROW_OUT_OF_RANGE: { fault: "run" },
  /** … latent frames x … tokens = … tokens can not be split evenly over … ranks (… left over). */
  SEQUENCE_NOT_DIVISIBLE: { fault: "input" },
  /** … ranks share the clip frame by frame, and it has … latent frames */
  TOO_FEW_FRAMES: { fault: "usage" },
  /** Unknown adapter '…'. Available adapters: … */
  UNKNOWN_ADAPTER: { fault: "input" },
  /** there is no attention backend named … */
  UNKNOWN_BACKEND: { fault: "usage" },
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
  | "MASKED_SHARD"
  | "NOT_DIVISIBLE"
  | "NO_LAYERS"
  | "NO_STEP"
  | "OVERLAPPING_RANGES"
  | "RIFLEX_UNSUPPORTED"
  | "ROW_OUT_OF_RANGE"
  | "SEQUENCE_NOT_DIVISIBLE"
  | "TOO_FEW_FRAMES"
  | "UNKNOWN_ADAPTER"
  | "UNKNOWN_BACKEND";
