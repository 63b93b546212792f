/** The folders of T5 and UMT5. A file apart from the other kinds: a bundle for T5 holds none of what they need. */
import type { AddedToken } from "./added-tokens.js";
import { parseSentencePieceModel } from "./sentencepiece-model.js";
import { createSentencePieceTokenizerModel } from "./sentencepiece-tokenizer.js";
import type { TokenizerConfig, TokenizerFiles } from "./tokenizer-config.js";
import type { TokenizerKind } from "./tokenizer-kind.js";
import { createUnigramTokenizerModel } from "./unigram-tokenizer.js";

export function isUnigram(json: Record<string, unknown>): boolean {
  const model = json.model as { type?: unknown; vocab?: unknown } | undefined;
  // Files of early versions leave the type out.
  return model?.type === "Unigram" || (model?.type === undefined && Array.isArray(model?.vocab));
}

/** `tokenizer.json` of T5 and UMT5. */
export const unigramKind: TokenizerKind = {
  name: "tokenizer.json (Unigram)",
  recognises: ({ json }) => json !== undefined && isUnigram(json),
  open: ({ json }) => createUnigramTokenizerModel(json!),
};

const SENTENCEPIECE_FILES = ["spiece.model", "sentencepiece.bpe.model", "tokenizer.model"] as const;

async function sentencePieceFile(files: TokenizerFiles): Promise<string | undefined> {
  for (const path of SENTENCEPIECE_FILES) if (await files.exists(path)) return path;
  return undefined;
}

/** A bare SentencePiece model. */
export const sentencePieceKind: TokenizerKind = {
  name: "spiece.model",
  recognises: async ({ files }) => (await sentencePieceFile(files)) !== undefined,
  open: async ({ files, config }) => {
    const path = (await sentencePieceFile(files))!;
    const model = parseSentencePieceModel(await files.readBytes(path));
    const eosToken = config.eos_token ?? "</s>";
    return createSentencePieceTokenizerModel(model, {
      addedTokens:
        config.addedTokens.length > 0 ? config.addedTokens : sentinels(config, model.pieces.length),
      specialTokens: [config.pad_token ?? "<pad>", eosToken, config.unk_token ?? "<unk>"],
      eosToken,
    });
  },
};

/** T5's sentinels, counted down from the end: `<extra_id_0>` has the highest id. */
function sentinels(config: TokenizerConfig, pieces: number): AddedToken[] {
  const count = config.extra_ids ?? 100;
  return Array.from({ length: count }, (_, i) => ({
    id: pieces + count - 1 - i,
    content: `<extra_id_${i}>`,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }));
}
