/** Byte-pair tokenizers (Qwen2, CLIP), through Hugging Face's JavaScript library. */
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import type { AddedToken } from "./added-tokens.js";
import { named } from "./limits.js";
import { QWEN2_WORDS } from "./pattern.js";
import type { TokenizerModel } from "./tokenizer.js";
import { checkTokenizerParts } from "./tokenizer-parts.js";

/** Both are parsed files. Throws `ConfigError` for a tokenizer that the library does not take. */
export function createBpeTokenizerModel(tokenizerJson: object, tokenizerConfig: object): TokenizerModel {
  checkTokenizerParts(tokenizerJson as Readonly<Record<string, unknown>>);
  const tokenizer = named(
    "the tokenizer can not be built",
    "tokenizer.json",
    () => new HuggingFaceTokenizer(tokenizerJson, tokenizerConfig),
  );
  const encode = (text: string, special: boolean): number[] =>
    tokenizer.encode(text, { add_special_tokens: special }).ids;
  // What goes around a text shows on a text of one token.
  const [bare, around] = [encode("a", false), encode("a", true)];
  const start = Math.max(
    around.findIndex((_, i) => bare.every((id, k) => around[i + k] === id)),
    0,
  );
  return {
    encodeText: (text) => encode(text, false),
    tokenId: (token) => tokenizer.token_to_id(token),
    prefix: around.slice(0, start),
    suffix: around.slice(start + bare.length),
  };
}

/** The `tokenizer.json` of a Qwen2 tokenizer that was saved as `vocab.json` and `merges.txt` only. */
export function qwen2TokenizerJson(
  vocab: Readonly<Record<string, number>>,
  merges: string,
  addedTokens: readonly AddedToken[],
): object {
  const pairs = merges
    .split(/\r?\n/)
    .filter((line, i) => line !== "" && !(i === 0 && line.startsWith("#version")));
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [...addedTokens].sort((a, b) => a.id - b.id),
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: QWEN2_WORDS }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: pairs,
    },
  };
}
