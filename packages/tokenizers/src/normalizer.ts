/** The `normalizer` part of `tokenizer.json`, as far as Unigram tokenizers use it. */
import { ConfigError, quoted } from "@lvsa/runtime/errors";
import * as z from "zod";
import { invalidTokenizer, MAX_GROWTH } from "./limits.js";
import { compilePattern } from "./pattern.js";
import { PrecompiledCharsmap } from "./precompiled-charsmap.js";
import { stripEnd, stripStart } from "./whitespace.js";

export type Normalizer = (text: string) => string;

const patternSchema = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);
const replaceSchema = z.looseObject({ pattern: patternSchema, content: z.string() });
const prependSchema = z.looseObject({ prepend: z.string() });
const stripSchema = z.looseObject({ strip_left: z.boolean(), strip_right: z.boolean() });

/** Throws `ConfigError` for a kind that is not known. */
export function createNormalizer(json: unknown): Normalizer {
  if (json === null || json === undefined) return (text) => text;
  const node = json as Readonly<Record<string, unknown>>;
  switch (node.type) {
    case "Sequence": {
      const parts = listOf(node.normalizers, "normalizers").map(createNormalizer);
      return (text) =>
        parts.reduce((current, part) => {
          const next = part(current);
          if (next.length > 1000 + MAX_GROWTH * text.length)
            throw invalidTokenizer(
              `the normalizer makes ${next.length} characters of ${text.length}`,
              "tokenizer.json",
            );
          return next;
        }, text);
    }
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD": {
      const form = node.type;
      return (text) => text.normalize(form);
    }
    case "Lowercase":
      return (text) => text.toLowerCase();
    case "Prepend": {
      const { prepend } = parsePart(prependSchema, node);
      return (text) => (text === "" ? "" : prepend + text);
    }
    case "Strip": {
      const { strip_left, strip_right } = parsePart(stripSchema, node);
      return (text) => {
        const left = strip_left ? stripStart(text) : text;
        return strip_right ? stripEnd(left) : left;
      };
    }
    case "Replace": {
      const { pattern, content } = parsePart(replaceSchema, node);
      const search = "String" in pattern ? pattern.String : compilePattern(pattern.Regex);
      return (text) => text.replaceAll(search, () => content);
    }
    case "Precompiled": {
      // Published files also have an empty one, which does nothing.
      if (!node.precompiled_charsmap) return (text) => text;
      const map = new PrecompiledCharsmap(fromBase64(node.precompiled_charsmap));
      return (text) => map.normalizeGraphemes(text);
    }
    default:
      throw unsupported("normalizer", node.type);
  }
}

export function unsupported(part: string, type: unknown): ConfigError {
  return new ConfigError("TOKENIZER_UNSUPPORTED", `${part} ${quoted(type)} is not supported`, {
    where: "tokenizer.json",
    fix: "Report the checkpoint, so that it can be added.",
  });
}

/** Parses a part of `tokenizer.json`; throws `ConfigError` that names the key. */
export function parsePart<T>(schema: z.ZodType<T>, node: Readonly<Record<string, unknown>>): T {
  const result = schema.safeParse(node);
  if (result.success) return result.data;
  const message = result.error.issues[0]?.message ?? "is not valid";
  const key = result.error.issues[0]?.path.join(".") ?? "";
  throw invalidTokenizer(`${quoted(node.type)}: "${key}" ${message}`, "tokenizer.json", result.error);
}

/** A list within a part; throws `ConfigError` for anything else. */
export function listOf(value: unknown, key: string): readonly unknown[] {
  if (Array.isArray(value)) return value as readonly unknown[];
  throw invalidTokenizer(`"${key}" is no list`, "tokenizer.json");
}

function fromBase64(value: unknown): Uint8Array {
  try {
    return Uint8Array.from(atob(String(value)), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw invalidTokenizer("precompiled_charsmap is not base64", "tokenizer.json", cause);
  }
}
