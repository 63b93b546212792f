// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `fault` is `usage` for what was asked
 * wrongly, `input` for what was given and can not be used, `run` for what failed on the way; programs end with their exit code
 * for wrong usage for the first two.
 */
export const TOKENIZERS_ERROR_CODES: Readonly<
  Record<TokenizersErrorCode, { readonly fault: "usage" | "input" | "run" }>
> = {
  /** precompiled_charsmap has … bytes and a trie of … */
  CHARSMAP_INVALID: { fault: "input" },
  /** the chat template fails: … */
  CHAT_TEMPLATE_INVALID: { fault: "input" },
  /** the tokenizer has no chat template */
  CHAT_TEMPLATE_MISSING: { fault: "input" },
  /** maxLength … with … special tokens around each text */
  MAX_LENGTH_INVALID: { fault: "input" },
  /** the tokenizer has no padding token */
  PAD_TOKEN_MISSING: { fault: "input" },
  /** the file is not a JSON object */
  TOKENIZER_INVALID: { fault: "input" },
  /** the tokenizer of class … is of another kind */
  TOKENIZER_NOT_FOUND: { fault: "input" },
  /** … … is not supported */
  TOKENIZER_UNSUPPORTED: { fault: "input" },
  /** no piece for … and no unknown token */
  TOKENIZER_WITHOUT_UNKNOWN: { fault: "input" },
};

export type TokenizersErrorCode =
  | "CHARSMAP_INVALID"
  | "CHAT_TEMPLATE_INVALID"
  | "CHAT_TEMPLATE_MISSING"
  | "MAX_LENGTH_INVALID"
  | "PAD_TOKEN_MISSING"
  | "TOKENIZER_INVALID"
  | "TOKENIZER_NOT_FOUND"
  | "TOKENIZER_UNSUPPORTED"
  | "TOKENIZER_WITHOUT_UNKNOWN";
