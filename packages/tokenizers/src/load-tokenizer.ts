/** Opens a tokenizer folder as `transformers` saves it. */
import { createChatRenderer } from "./chat-template.js";
import { openTokenizer } from "./open-tokenizer.js";
import { bpeKind, byt5Kind, qwen2FilesKind } from "./other-kinds.js";
import { sentencePieceKind, unigramKind } from "./t5-kinds.js";
import type { Tokenizer } from "./tokenizer.js";
import {
  readChatTemplate,
  readTokenizerConfig,
  type TokenizerConfig,
  type TokenizerFiles,
} from "./tokenizer-config.js";

/**
 * A tokenizer of any kind. `tokenizer_class` in `tokenizer_config.json` decides for ByT5; else `tokenizer.json` is
 * preferred, then a bare SentencePiece model, then `vocab.json` with `merges.txt` (Qwen2).
 *
 * @throws ConfigError `TOKENIZER_NOT_FOUND` where none of these is there, others where one is not understood
 */
export async function loadTokenizer(files: TokenizerFiles): Promise<Tokenizer> {
  const config = await readTokenizerConfig(files);
  const kinds = [byt5Kind, unigramKind, bpeKind, sentencePieceKind, qwen2FilesKind];
  const template = await readChatTemplate(files, config);
  const renderChat = template === undefined ? undefined : createChatRenderer(template, specialTokens(config));
  return openTokenizer(files, config, kinds, renderChat);
}

/** The variables that chat templates read, such as `eos_token`. */
function specialTokens(config: TokenizerConfig): Record<string, string> {
  const { bos_token, eos_token, pad_token, unk_token } = config;
  const all = { bos_token, eos_token, pad_token, unk_token };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
