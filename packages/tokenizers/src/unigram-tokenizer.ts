/** Unigram tokenizers (T5, UMT5) from `tokenizer.json`, with the results of Hugging Face's tokenizers library. */
import type { ConfigError } from "@lvsa/runtime/errors";
import * as z from "zod";
import { addedTokenSchema, createTokenSplitter } from "./added-tokens.js";
import { invalidTokenizer, MAX_TOKEN_LENGTH } from "./limits.js";
import { createNormalizer } from "./normalizer.js";
import { createPostProcessor } from "./post-processor.js";
import { createPreTokenizer } from "./pre-tokenizer.js";
import type { TokenizerModel } from "./tokenizer.js";
import { checkTokenizerParts } from "./tokenizer-parts.js";
import { bytePieceIds, UnigramModel } from "./unigram-model.js";

const schema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).default([]),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  model: z.looseObject({
    unk_id: z.number().int().min(0).nullish(),
    byte_fallback: z.boolean().nullish(),
    // Checked below: a schema over 256k pairs takes seconds.
    vocab: z.custom<readonly (readonly [string, number])[]>(Array.isArray, "must be a list of pairs"),
  }),
});

/** How much worse an unknown character is than the worst piece. */
const UNKNOWN_PENALTY = 10;

/** `json` is the parsed file. Throws `ConfigError` for a file or a part of it that is not understood. */
export function createUnigramTokenizerModel(json: unknown): TokenizerModel {
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error), parsed.error);
  checkTokenizerParts(parsed.data);
  const { added_tokens, model, normalizer, pre_tokenizer, post_processor } = parsed.data;

  const pieces = new Map<string, { id: number; score: number }>();
  let lowest = Number.POSITIVE_INFINITY;
  for (const [id, pair] of model.vocab.entries()) {
    const [piece, score] = Array.isArray(pair) ? pair : [];
    if (typeof piece !== "string" || typeof score !== "number")
      throw invalid(`piece ${id} is not [text, score]`);
    if (piece.length > MAX_TOKEN_LENGTH)
      throw invalid(`piece ${id} has ${piece.length} characters; the limit is ${MAX_TOKEN_LENGTH}`);
    if (!Number.isFinite(score)) throw invalid(`the score of piece ${id} is ${score}`);
    pieces.set(piece, { id, score });
    lowest = Math.min(lowest, score);
  }
  if (pieces.size === 0) throw invalid("the model has no pieces");
  if ((model.unk_id ?? 0) >= model.vocab.length)
    throw invalid(`unk_id ${model.unk_id} is no piece; there are ${model.vocab.length}`);
  const byContent = new Map(added_tokens.map((token) => [token.content, token.id]));
  const tokenId = (token: string) => byContent.get(token) ?? pieces.get(token)?.id;
  const unigram = new UnigramModel({
    pieces,
    unknownId: model.unk_id ?? undefined,
    unknownScore: lowest - UNKNOWN_PENALTY,
    byteIds: model.byte_fallback === true ? bytePieceIds((piece) => pieces.get(piece)?.id) : undefined,
  });

  const normalize = createNormalizer(normalizer);
  const preTokenize = createPreTokenizer(pre_tokenizer);
  const splitRaw = createTokenSplitter(added_tokens.filter((token) => !token.normalized));
  const splitNormalized = createTokenSplitter(
    added_tokens
      .filter((token) => token.normalized)
      .map((token) => ({ ...token, content: normalize(token.content) }))
      .filter((token) => token.content !== ""),
  );
  const encodeText = (text: string): number[] => {
    const ids: number[] = [];
    for (const [i, raw] of splitRaw(text).entries()) {
      if (typeof raw === "number") {
        ids.push(raw);
        continue;
      }
      for (const [j, segment] of splitNormalized(normalize(raw)).entries()) {
        if (typeof segment === "number") ids.push(segment);
        else
          for (const word of preTokenize(segment, i === 0 && j === 0))
            for (const id of unigram.encode(word)) ids.push(id);
      }
    }
    return ids;
  };
  return { encodeText, tokenId, ...createPostProcessor(post_processor) };
}

function invalid(message: string, cause?: unknown): ConfigError {
  return invalidTokenizer(message, "tokenizer.json", cause);
}
