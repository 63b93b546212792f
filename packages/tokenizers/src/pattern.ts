/**
 * Regular expressions of a tokenizer's files. JavaScript's engine goes back and forth: some patterns take time that
 * doubles with every character, and nothing can stop it. So a pattern is one of those that are published, which
 * take time in proportion to the text, or so simple that it can not be slow; any other one is refused.
 */
import { ConfigError, quoted } from "@lvsa/runtime/errors";

/** How Qwen2 cuts text into words before merging: contractions, letters, single digits, punctuation, spaces. */
export const QWEN2_WORDS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const PUBLISHED: readonly string[] = [
  QWEN2_WORDS,
  // Llama 3: up to three digits together.
  QWEN2_WORDS.replace("|\\p{N}|", "|\\p{N}{1,3}|"),
  // GPT-2.
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  // CLIP.
  "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
  "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
];

/** Alternatives of single characters one after another, of which only the last may repeat: nothing to go back to. */
const SIMPLE = (() => {
  const escaped = "\\\\(?:[dDsSwWnrtfv]|[pP]\\{\\w{1,40}\\}|[^0-9A-Za-z])";
  const member = `(?:[^\\\\\\[\\]]|${escaped})`;
  const atom = `(?:[^\\\\^$*+?()[\\]{}|]|${escaped}|\\[\\^?${member}{1,100}\\])`;
  const alternative = `${atom}{1,100}(?:[*+?]|\\{\\d{1,3}(?:,\\d{0,3})?\\})?`;
  return new RegExp(`^${alternative}(?:\\|${alternative})*$`, "u");
})();

const MAX_PATTERN_LENGTH = 500;

/** @throws ConfigError `TOKENIZER_UNSUPPORTED` for a pattern that might be slow */
export function assertKnownPattern(pattern: string): void {
  if (PUBLISHED.includes(pattern) || (pattern.length <= MAX_PATTERN_LENGTH && SIMPLE.test(pattern))) return;
  throw unsupportedPattern(pattern);
}

/** A pattern of `tokenizer.json` (Oniguruma) as a JavaScript one. Throws as `assertKnownPattern`. */
export function compilePattern(pattern: string): RegExp {
  assertKnownPattern(pattern);
  try {
    return new RegExp(pattern.replaceAll("\\s", "\\p{White_Space}"), "gu");
  } catch (cause) {
    throw unsupportedPattern(pattern, cause);
  }
}

function unsupportedPattern(pattern: string, cause?: unknown): ConfigError {
  return new ConfigError("TOKENIZER_UNSUPPORTED", `the pattern ${quoted(pattern, 200)} is not supported`, {
    where: "tokenizer.json",
    fix: "Only published patterns and simple ones run. Report the checkpoint, so that its pattern can be added.",
    cause,
  });
}
