/** Opens a tokenizer folder as `transformers` saves it. */
import { ConfigError, quoted } from "@lvsa/runtime/errors";
import type { AddedToken } from "./added-tokens.js";
import { createBpeTokenizerModel, qwen2TokenizerJson } from "./bpe-tokenizer.js";
import { createByt5TokenizerModel } from "./byt5-tokenizer.js";
import { createChatRenderer } from "./chat-template.js";
import { asNamed } from "./limits.js";
import { parseSentencePieceModel } from "./sentencepiece-model.js";
import { createSentencePieceTokenizerModel } from "./sentencepiece-tokenizer.js";
import { createTokenizer, type Tokenizer, type TokenizerModel } from "./tokenizer.js";
import {
  readChatTemplate,
  readJson,
  readTokenizerConfig,
  type TokenizerConfig,
  type TokenizerFiles,
  where,
} from "./tokenizer-config.js";
import { createUnigramTokenizerModel } from "./unigram-tokenizer.js";

const SENTENCEPIECE_FILES = ["spiece.model", "sentencepiece.bpe.model", "tokenizer.model"] as const;

/**
 * `tokenizer_class` in `tokenizer_config.json` decides for ByT5; else `tokenizer.json` is preferred, then a
 * bare SentencePiece model, then `vocab.json` with `merges.txt` (Qwen2). Throws `ConfigError` where none of
 * these is there or one is not understood.
 */
export async function loadTokenizer(files: TokenizerFiles): Promise<Tokenizer> {
  try {
    return await load(files);
  } catch (cause) {
    throw asNamed("the tokenizer can not be loaded", where(files, "tokenizer.json"), cause);
  }
}

async function load(files: TokenizerFiles): Promise<Tokenizer> {
  const config = await readTokenizerConfig(files);
  const model = await loadModel(files, config);
  const template = await readChatTemplate(files, config);
  const special = {
    bos_token: config.bos_token,
    eos_token: config.eos_token,
    pad_token: config.pad_token,
    unk_token: config.unk_token,
  };
  const tokens = Object.entries(special).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const isT5 = /T5/i.test(config.tokenizer_class ?? "");
  return createTokenizer(model, {
    padToken: config.pad_token ?? (isT5 ? "<pad>" : undefined),
    eosToken: config.eos_token ?? (isT5 ? "</s>" : undefined),
    paddingSide: config.padding_side ?? undefined,
    renderChat: template === undefined ? undefined : createChatRenderer(template, Object.fromEntries(tokens)),
  });
}

async function loadModel(files: TokenizerFiles, config: TokenizerConfig): Promise<TokenizerModel> {
  const name = config.tokenizer_class ?? "";
  const additional = (config.additional_special_tokens ?? []).filter((token) => token !== undefined);
  if (/^ByT5Tokenizer/.test(name))
    return createByt5TokenizerModel({
      padToken: config.pad_token,
      eosToken: config.eos_token,
      unkToken: config.unk_token,
      extraIds: config.extra_ids ?? undefined,
      additionalSpecialTokens: additional,
      addedTokens: config.addedTokens,
    });

  if (await files.exists("tokenizer.json")) {
    const json = await readJson(files, "tokenizer.json");
    const type = (json.model as { type?: unknown } | undefined)?.type;
    // Files of early versions leave the type out.
    const isUnigram =
      type === "Unigram" || (type === undefined && Array.isArray((json.model as { vocab?: unknown })?.vocab));
    return isUnigram ? createUnigramTokenizerModel(json) : createBpeTokenizerModel(json, config.raw);
  }

  for (const path of SENTENCEPIECE_FILES) {
    if (!(await files.exists(path))) continue;
    const model = parseSentencePieceModel(await files.readBytes(path));
    const specialTokens = [
      config.pad_token ?? "<pad>",
      config.eos_token ?? "</s>",
      config.unk_token ?? "<unk>",
    ];
    return createSentencePieceTokenizerModel(model, {
      addedTokens:
        config.addedTokens.length > 0 ? config.addedTokens : sentinels(config, model.pieces.length),
      specialTokens,
      eosToken: config.eos_token ?? "</s>",
    });
  }

  if (
    /^Qwen2Tokenizer/.test(name) &&
    (await files.exists("vocab.json")) &&
    (await files.exists("merges.txt"))
  ) {
    const vocab = (await readJson(files, "vocab.json")) as Record<string, number>;
    const merges = await files.readText("merges.txt");
    return createBpeTokenizerModel(qwen2TokenizerJson(vocab, merges, config.addedTokens), config.raw);
  }
  throw new ConfigError(
    "TOKENIZER_NOT_FOUND",
    `no tokenizer files for class ${name === "" ? "(none named)" : quoted(name)}`,
    {
      where: where(files, "tokenizer.json"),
      fix: "The folder needs tokenizer.json, spiece.model, or (Qwen2) vocab.json and merges.txt.",
    },
  );
}

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
