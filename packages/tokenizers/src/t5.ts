/** Entry `@lvsa/tokenizers/t5`: T5 and UMT5 alone. */
import { openTokenizer } from "./open-tokenizer.js";
import { sentencePieceKind, unigramKind } from "./t5-kinds.js";
import type { Tokenizer } from "./tokenizer.js";
import { readTokenizerConfig, type TokenizerFiles } from "./tokenizer-config.js";

/**
 * A tokenizer of T5 or UMT5 (`tokenizer.json` or a bare SentencePiece model). It has no chat template. Bundlers leave
 * out all that the other kinds need.
 *
 * @throws ConfigError `TOKENIZER_NOT_FOUND` for a folder of another kind too
 */
export async function loadT5Tokenizer(files: TokenizerFiles): Promise<Tokenizer> {
  const config = await readTokenizerConfig(files);
  return openTokenizer(files, config, [unigramKind, sentencePieceKind], undefined);
}
