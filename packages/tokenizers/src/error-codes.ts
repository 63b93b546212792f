// Written by tools/error-codes.mjs from the errors that this package makes.

/**
 * `code` of every error that this package throws on purpose, with the message of one. `usage`: the caller asked for what
 * can not be, so that asking for something else mends it; programs end with their exit code for wrong usage.
 */
export const TOKENIZERS_ERROR_CODES: Readonly<Record<TokenizersErrorCode, { readonly usage: boolean }>> = {
  /** precompiled_charsmap has … bytes and a trie of … */
  CHARSMAP_INVALID: { usage: false },
  /** the chat template fails: … */
  CHAT_TEMPLATE_INVALID: { usage: false },
  /** the tokenizer has no chat template */
  CHAT_TEMPLATE_MISSING: { usage: false },
  /** maxLength … with … special tokens around each text */
  MAX_LENGTH_INVALID: { usage: false },
  /** the tokenizer has no padding token */
  PAD_TOKEN_MISSING: { usage: false },
  /** the file is not a JSON object */
  TOKENIZER_INVALID: { usage: false },
  /** the tokenizer of class … is of another kind */
  TOKENIZER_NOT_FOUND: { usage: false },
  /** … … is not supported */
  TOKENIZER_UNSUPPORTED: { usage: false },
  /** no piece for … and no unknown token */
  TOKENIZER_WITHOUT_UNKNOWN: { usage: false },
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
