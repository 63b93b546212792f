/** What all kinds of `tokenizer.json` must keep to, before any part of it is built. */
import { type ConfigError, quoted } from "@lvsa/runtime/errors";
import { invalidTokenizer, MAX_DEPTH, MAX_PARTS, MAX_TOKEN_LENGTH } from "./limits.js";
import { assertKnownPattern } from "./pattern.js";

const PARTS = ["normalizer", "pre_tokenizer", "post_processor", "decoder"] as const;

/**
 * Depth, number, text lengths and patterns of the parts other than the model.
 * @throws ConfigError `TOKENIZER_INVALID`, `TOKENIZER_UNSUPPORTED`
 */
export function checkTokenizerParts(json: Readonly<Record<string, unknown>>): void {
  for (const part of PARTS) checkPart(json[part], part);
  const added: unknown = json.added_tokens;
  if (!Array.isArray(added)) return;
  for (const [i, token] of (added as unknown[]).entries()) {
    const content = (token as { content?: unknown } | null)?.content;
    if (typeof content === "string" && content.length > MAX_TOKEN_LENGTH)
      throw tooLarge(`added_tokens[${i}]`, `has ${content.length} characters`, MAX_TOKEN_LENGTH);
  }
}

function checkPart(part: unknown, name: string): void {
  // Not by recursion, which a deep enough file would end.
  const open: { readonly value: unknown; readonly depth: number; readonly key: string }[] = [
    { value: part, depth: 0, key: name },
  ];
  for (let seen = 0; open.length > 0; seen++) {
    const { value, depth, key } = open.pop()!;
    if (seen > MAX_PARTS * 8) throw tooLarge(name, `has more than ${seen - 1} values`, MAX_PARTS * 8);
    if (typeof value === "string") {
      if (key === "Regex") assertKnownPattern(value);
      else if (key !== "precompiled_charsmap" && value.length > MAX_TOKEN_LENGTH)
        throw tooLarge(`${name}: ${key}`, `has ${value.length} characters`, MAX_TOKEN_LENGTH);
    }
    if (typeof value !== "object" || value === null) continue;
    const { type, pattern } = value as { type?: unknown; pattern?: unknown };
    // The library for BPE would only warn, and go on without it.
    if ((type === "Split" || type === "Replace") && !isPattern(pattern))
      throw invalidTokenizer(
        `${name}: the pattern ${quoted(pattern)} is no text or expression`,
        "tokenizer.json",
      );
    // Each part within a part is an object in a list: two levels, and a few more for its own settings.
    if (depth > MAX_DEPTH * 2) throw tooLarge(name, "is nested too deep", MAX_DEPTH);
    for (const [inner, child] of Object.entries(value))
      open.push({ value: child, depth: depth + 1, key: inner });
  }
}

function isPattern(value: unknown): boolean {
  const { String: text, Regex: expression } = (value ?? {}) as { String?: unknown; Regex?: unknown };
  return typeof text === "string" || typeof expression === "string";
}

function tooLarge(what: string, seen: string, limit: number): ConfigError {
  return invalidTokenizer(`${what} ${seen}; the limit is ${limit}`, "tokenizer.json");
}
