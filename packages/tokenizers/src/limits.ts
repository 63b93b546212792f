/**
 * Bounds on what a tokenizer's files may ask for. They are far above anything that is published, and keep a
 * stranger's files from taking the program's time or memory: text of n characters takes time in proportion to n.
 */
import { ConfigError, isLvsaError, quoted } from "@lvsa/runtime/errors";

/** Characters of a piece, an added token, a replacement. The longest published ones have a few dozen. */
export const MAX_TOKEN_LENGTH = 1000;
/** Sentinels of T5 (100) and ByT5 (125). */
export const MAX_EXTRA_IDS = 10_000;
/** Sequences of normalizers or pre-tokenizers within each other, and parts in all. */
export const MAX_DEPTH = 32;
export const MAX_PARTS = 1000;
/** Ids are int32. */
export const MAX_ID = 2 ** 31 - 1;
/** How much longer than the text its normalised form may be: NFKC makes at most 18 characters of one. */
export const MAX_GROWTH = 32;

/** @param path the file, as messages name it */
export function invalidTokenizer(message: string, path: string, cause?: unknown): ConfigError {
  return new ConfigError("TOKENIZER_INVALID", message, {
    where: path,
    fix: "Download the tokenizer again.",
    cause,
  });
}

/** Errors of other kinds, from libraries or a stack that is too deep, become `TOKENIZER_INVALID`. */
export function named<T>(what: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw asNamed(what, path, cause);
  }
}

export function asNamed(what: string, path: string, cause: unknown): unknown {
  return isLvsaError(cause) ? cause : invalidTokenizer(`${what}: ${quoted(String(cause), 200)}`, path, cause);
}
