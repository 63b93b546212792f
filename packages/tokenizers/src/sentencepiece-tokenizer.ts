/** Unigram tokenizers from a bare SentencePiece model, with the results of the SentencePiece library. */
import { ConfigError } from "@lvsa/runtime/errors";
import { type AddedToken, createTokenSplitter } from "./added-tokens.js";
import { PrecompiledCharsmap } from "./precompiled-charsmap.js";
import type { SentencePieceModel } from "./sentencepiece-model.js";
import { isBoundary, TextTrie } from "./text-trie.js";
import type { TokenizerModel } from "./tokenizer.js";
import { bytePieceIds, UnigramModel } from "./unigram-model.js";

const SPACE_MARK = "▁";
const UNKNOWN_PENALTY = 10;

export interface SentencePieceOptions {
  /** Special and added tokens by content; those that are pieces of the model need not be listed. */
  readonly addedTokens: readonly AddedToken[];
  /** Contents of pieces that text may name, such as `</s>`. */
  readonly specialTokens: readonly string[];
  /** Put after every text. */
  readonly eosToken: string | undefined;
}

/** Throws `ConfigError` where it is not a Unigram model. */
export function createSentencePieceTokenizerModel(
  model: SentencePieceModel,
  options: SentencePieceOptions,
): TokenizerModel {
  if (model.modelType !== "unigram" || model.treatWhitespaceAsSuffix)
    throw new ConfigError(
      "TOKENIZER_UNSUPPORTED",
      `a SentencePiece model of type "${model.modelType}"${model.treatWhitespaceAsSuffix ? " with spaces as suffix" : ""} is not supported`,
      { where: "spiece.model", fix: "Add the tokenizer.json of the same tokenizer." },
    );
  const ids = new Map(model.pieces.map(({ piece }, id) => [piece, id]));
  const added = new Map(options.addedTokens.map((token) => [token.content, token]));
  const tokenId = (token: string) => added.get(token)?.id ?? ids.get(token);
  for (const content of options.specialTokens) {
    const id = tokenId(content);
    if (id === undefined || added.has(content)) continue;
    added.set(content, { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false });
  }

  const unigram = createModel(model, ids);
  const normalize = createSentencePieceNormalizer(model);
  const split = createTokenSplitter([...added.values()]);
  const eos = options.eosToken === undefined ? undefined : tokenId(options.eosToken);
  return {
    encodeText: (text) =>
      split(text).flatMap((segment) =>
        typeof segment === "number" ? [segment] : unigram.encode(normalize(segment)),
      ),
    tokenId,
    prefix: [],
    suffix: eos === undefined ? [] : [eos],
  };
}

function createModel(model: SentencePieceModel, ids: ReadonlyMap<string, number>): UnigramModel {
  const { fround } = Math;
  const scores = model.pieces.filter(({ type }) => type === "normal").map(({ score }) => score);
  const lowest = scores.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const highest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const encoder = new TextEncoder();
  const pieces = new Map<string, { id: number; score: number }>();
  for (const [id, { piece, score, type }] of model.pieces.entries()) {
    if (type === "normal") pieces.set(piece, { id, score });
    // A user-defined symbol wins over any cut through it.
    else if (type === "userDefined")
      pieces.set(piece, { id, score: fround(fround(encoder.encode(piece).length * highest) - 0.1) });
  }
  const unknown = model.pieces.findIndex(({ type }) => type === "unknown");
  return new UnigramModel({
    pieces,
    unknownId: unknown < 0 ? undefined : unknown,
    unknownScore: fround(lowest - UNKNOWN_PENALTY),
    byteIds: model.byteFallback ? bytePieceIds((piece) => ids.get(piece)) : undefined,
    float32: true,
  });
}

/** The longest match of the character map at each place; then spaces are tidied and marked. */
export function createSentencePieceNormalizer(model: SentencePieceModel): (text: string) => string {
  const map = model.charsmap.length > 0 ? new PrecompiledCharsmap(model.charsmap) : undefined;
  const symbols = new TextTrie();
  for (const { piece, type } of model.pieces) if (type === "userDefined") symbols.set(piece, 0);
  const encoder = new TextEncoder();
  // A byte order mark is a character like any other here.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const mark = model.escapeWhitespaces ? SPACE_MARK : " ";

  /** Replacement of what stands at `at`, and how many UTF-16 units that is. */
  const next = (text: string, at: number): readonly [replacement: string, length: number] => {
    const symbol = symbols.longest(text, at);
    if (symbol && isBoundary(text, symbol.end)) return [text.slice(at, symbol.end), symbol.end - at];
    const character = String.fromCodePoint(text.codePointAt(at)!);
    if (!map) return [character, character.length];
    // Keys of the map are a few characters long; 32 units hold the longest one.
    const bytes = encoder.encode(text.slice(at, at + 32).replace(/\p{Surrogate}$/u, ""));
    const match = map.matches(bytes, 0, bytes.length).at(-1);
    if (!match) return [character, character.length];
    return [match.replacement, decoder.decode(bytes.subarray(0, match.length)).length];
  };

  return (text) => {
    let out = "";
    let afterSpace = model.removeExtraWhitespaces;
    for (let at = 0; at < text.length; ) {
      const [replacement, length] = next(text, at);
      at += length;
      const part = afterSpace ? replacement.replace(/^ +/, "") : replacement;
      if (part === "") continue;
      out += part;
      afterSpace = model.removeExtraWhitespaces && part.endsWith(" ");
    }
    if (text === "" || (out === "" && model.removeExtraWhitespaces)) return "";
    let marked = ((model.addDummyPrefix ? " " : "") + out).replaceAll(" ", mark);
    if (model.removeExtraWhitespaces) while (marked.endsWith(mark)) marked = marked.slice(0, -mark.length);
    return marked;
  };
}
