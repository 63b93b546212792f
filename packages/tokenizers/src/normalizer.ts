/** The `normalizer` part of `tokenizer.json`, as far as Unigram tokenizers use it. */
import { ConfigError } from "@lvsa/runtime/errors";
import * as z from "zod";
import { PrecompiledCharsmap } from "./precompiled-charsmap.js";
import { stripEnd, stripStart } from "./whitespace.js";

export type Normalizer = (text: string) => string;

const patternSchema = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);
const replaceSchema = z.looseObject({ pattern: patternSchema, content: z.string() });
const stripSchema = z.looseObject({ strip_left: z.boolean(), strip_right: z.boolean() });

/** Throws `ConfigError` for a kind that is not known. */
export function createNormalizer(json: unknown): Normalizer {
  if (json === null || json === undefined) return (text) => text;
  const node = json as Readonly<Record<string, unknown>>;
  switch (node.type) {
    case "Sequence": {
      const parts = (node.normalizers as unknown[]).map(createNormalizer);
      return (text) => parts.reduce((current, part) => part(current), text);
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
    case "Prepend":
      return (text) => (text === "" ? "" : String(node.prepend) + text);
    case "Strip": {
      const { strip_left, strip_right } = stripSchema.parse(node);
      return (text) => {
        const left = strip_left ? stripStart(text) : text;
        return strip_right ? stripEnd(left) : left;
      };
    }
    case "Replace": {
      const { pattern, content } = replaceSchema.parse(node);
      const search = "String" in pattern ? pattern.String : compile(pattern.Regex);
      return (text) => text.replaceAll(search, () => content);
    }
    case "Precompiled": {
      // Published files also have an empty one, which does nothing.
      if (!node.precompiled_charsmap) return (text) => text;
      const map = new PrecompiledCharsmap(fromBase64(String(node.precompiled_charsmap)));
      return (text) => map.normalizeGraphemes(text);
    }
    default:
      throw unsupported("normalizer", node.type);
  }
}

/** A pattern of `tokenizer.json` (Oniguruma) as a JavaScript one. */
export function compile(pattern: string): RegExp {
  try {
    return new RegExp(pattern.replaceAll("\\s", "\\p{White_Space}"), "gu");
  } catch (cause) {
    throw new ConfigError(
      "TOKENIZER_UNSUPPORTED",
      `the pattern ${JSON.stringify(pattern)} is not supported`,
      {
        where: "tokenizer.json",
        fix: "Report the checkpoint, so that the pattern can be added.",
        cause,
      },
    );
  }
}

export function unsupported(part: string, type: unknown): ConfigError {
  return new ConfigError("TOKENIZER_UNSUPPORTED", `${part} "${String(type)}" is not supported`, {
    where: "tokenizer.json",
    fix: "Report the checkpoint, so that it can be added.",
  });
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
