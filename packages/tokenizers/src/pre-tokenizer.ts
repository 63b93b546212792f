/** The `pre_tokenizer` part of `tokenizer.json`, as far as Unigram tokenizers use it. */
import * as z from "zod";
import { listOf, parsePart, unsupported } from "./normalizer.js";
import { WHITE_SPACE } from "./whitespace.js";

/** Cuts a normalised text into words. `atStart`: no added token and no other word comes before it. */
export type PreTokenizer = (text: string, atStart: boolean) => string[];

const metaspaceSchema = z.looseObject({
  replacement: z.string().min(1).max(16).default("▁"),
  // Older files say add_prefix_space instead of prepend_scheme.
  add_prefix_space: z.boolean().default(true),
  prepend_scheme: z.enum(["always", "first", "never"]).optional(),
  split: z.boolean().default(true),
});

/** Throws `ConfigError` for a kind that is not known. */
export function createPreTokenizer(json: unknown): PreTokenizer {
  if (json === null || json === undefined) return (text) => (text === "" ? [] : [text]);
  const node = json as Readonly<Record<string, unknown>>;
  switch (node.type) {
    case "Sequence": {
      const parts = listOf(node.pretokenizers, "pretokenizers").map(createPreTokenizer);
      return (text, atStart) =>
        parts.reduce<string[]>(
          (words, part) => words.flatMap((word, i) => part(word, atStart && i === 0)),
          text === "" ? [] : [text],
        );
    }
    case "WhitespaceSplit": {
      const space = new RegExp(`${WHITE_SPACE}+`, "u");
      return (text) => text.split(space).filter((word) => word !== "");
    }
    case "Metaspace":
      return metaspace(parsePart(metaspaceSchema, node));
    default:
      throw unsupported("pre_tokenizer", node.type);
  }
}

/** Spaces become a visible mark, which starts each word. */
function metaspace(options: z.output<typeof metaspaceSchema>): PreTokenizer {
  const { replacement: mark, split } = options;
  const scheme = options.prepend_scheme ?? (options.add_prefix_space ? "always" : "never");
  return (text, atStart) => {
    if (text === "") return [];
    let marked = text.replaceAll(" ", mark);
    if (!marked.startsWith(mark) && (scheme === "always" || (scheme === "first" && atStart)))
      marked = mark + marked;
    if (!split) return [marked];
    return marked
      .split(mark)
      .map((word, i) => (i === 0 ? word : mark + word))
      .filter((word) => word !== "");
  };
}
