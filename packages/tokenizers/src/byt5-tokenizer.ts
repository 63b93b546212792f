/** ByT5: three special tokens, then one token per byte of UTF-8, then sentinels and any other added tokens. */
import { type AddedToken, createTokenSplitter } from "./added-tokens.js";
import type { TokenizerModel } from "./tokenizer.js";

export interface Byt5Options {
  readonly padToken?: string | undefined;
  readonly eosToken?: string | undefined;
  readonly unkToken?: string | undefined;
  /** Number of sentinels `<extra_id_0>`, ... Default: 125. */
  readonly extraIds?: number | undefined;
  /** Special tokens in the order of their ids, instead of the sentinels. */
  readonly additionalSpecialTokens?: readonly string[] | undefined;
  /** Tokens whose ids are given; they win over the counted ones. */
  readonly addedTokens?: readonly AddedToken[] | undefined;
}

const FIRST_BYTE = 3;
const BYTES = 256;

export function createByt5TokenizerModel(options: Byt5Options = {}): TokenizerModel {
  const {
    padToken = "<pad>",
    eosToken = "</s>",
    unkToken = "<unk>",
    extraIds = 125,
    addedTokens = [],
  } = options;
  const sentinels =
    options.additionalSpecialTokens && options.additionalSpecialTokens.length > 0
      ? options.additionalSpecialTokens
      : Array.from({ length: extraIds }, (_, i) => `<extra_id_${i}>`);
  const tokens = new Map<string, AddedToken>();
  const add = (content: string, id: number) =>
    tokens.set(content, { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false });
  for (const [id, content] of [padToken, eosToken, unkToken].entries()) add(content, id);
  let next = FIRST_BYTE + BYTES;
  for (const content of sentinels) if (!tokens.has(content)) add(content, next++);
  for (const token of addedTokens) tokens.set(token.content, token);

  const split = createTokenSplitter([...tokens.values()]);
  const encoder = new TextEncoder();
  return {
    encodeText: (text) =>
      split(text).flatMap((segment) =>
        typeof segment === "number"
          ? [segment]
          : Array.from(encoder.encode(segment), (byte) => byte + FIRST_BYTE),
      ),
    tokenId: (token) => tokens.get(token)?.id,
    prefix: [],
    suffix: [tokens.get(eosToken)!.id],
    suffixOnce: true,
  };
}
