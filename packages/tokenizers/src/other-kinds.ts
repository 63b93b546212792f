/** ByT5, and the folders of byte-pair tokenizers. */
import { createBpeTokenizerModel, qwen2TokenizerJson } from "./bpe-tokenizer.js";
import { createByt5TokenizerModel } from "./byt5-tokenizer.js";
import { isUnigram } from "./t5-kinds.js";
import { readJson } from "./tokenizer-config.js";
import type { TokenizerKind } from "./tokenizer-kind.js";

/** ByT5 has no files of its own: its class in `tokenizer_config.json` decides. */
export const byt5Kind: TokenizerKind = {
  name: "ByT5",
  recognises: ({ config }) => /^ByT5Tokenizer/.test(config.tokenizer_class ?? ""),
  open: ({ config }) =>
    createByt5TokenizerModel({
      padToken: config.pad_token,
      eosToken: config.eos_token,
      unkToken: config.unk_token,
      extraIds: config.extra_ids ?? undefined,
      additionalSpecialTokens: (config.additional_special_tokens ?? []).filter(
        (token) => token !== undefined,
      ),
      addedTokens: config.addedTokens,
    }),
};

/** Any other `tokenizer.json`: Qwen2, CLIP. */
export const bpeKind: TokenizerKind = {
  name: "tokenizer.json (BPE)",
  recognises: ({ json }) => json !== undefined && !isUnigram(json),
  open: ({ json, config }) => createBpeTokenizerModel(json!, config.raw),
};

/** Qwen2 as it was saved before `tokenizer.json`. */
export const qwen2FilesKind: TokenizerKind = {
  name: "vocab.json with merges.txt (Qwen2)",
  recognises: async ({ files, config }) =>
    /^Qwen2Tokenizer/.test(config.tokenizer_class ?? "") &&
    (await files.exists("vocab.json")) &&
    (await files.exists("merges.txt")),
  open: async ({ files, config }) => {
    const vocab = (await readJson(files, "vocab.json")) as Record<string, number>;
    const merges = await files.readText("merges.txt");
    return createBpeTokenizerModel(qwen2TokenizerJson(vocab, merges, config.addedTokens), config.raw);
  },
};
