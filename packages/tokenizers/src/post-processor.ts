/** The `post_processor` part of `tokenizer.json`: which ids go around a single text. */
import { quoted } from "@lvsa/runtime/errors";
import * as z from "zod";
import { invalidTokenizer, MAX_ID } from "./limits.js";
import { parsePart, unsupported } from "./normalizer.js";

const templateSchema = z.looseObject({
  single: z.array(
    z.union([
      z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }) }),
      z.looseObject({ Sequence: z.looseObject({ id: z.string() }) }),
    ]),
  ),
  special_tokens: z.record(
    z.string(),
    z.looseObject({ ids: z.array(z.number().int().min(0).max(MAX_ID)).max(100) }),
  ),
});

export interface SurroundingTokens {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** Throws `ConfigError` for a kind that is not known. */
export function createPostProcessor(json: unknown): SurroundingTokens {
  if (json === null || json === undefined) return { prefix: [], suffix: [] };
  const node = json as Readonly<Record<string, unknown>>;
  if (node.type !== "TemplateProcessing") throw unsupported("post_processor", node.type);
  const { single, special_tokens } = parsePart(templateSchema, node);
  const ids = (part: (typeof single)[number]): readonly number[] => {
    if (!("SpecialToken" in part)) return [];
    const { id } = part.SpecialToken as { id: string };
    const found = Object.hasOwn(special_tokens, id) ? special_tokens[id]?.ids : undefined;
    if (!found) throw invalidTokenizer(`special_tokens has no ${quoted(id)}`, "tokenizer.json");
    return found;
  };
  const text = single.findIndex((part) => "Sequence" in part);
  return {
    prefix: single.slice(0, Math.max(text, 0)).flatMap(ids),
    suffix: single.slice(text + 1).flatMap(ids),
  };
}
