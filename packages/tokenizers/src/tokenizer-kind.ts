/** What tells kinds of tokenizer folders apart. */
import type { TokenizerModel } from "./tokenizer.js";
import type { TokenizerConfig, TokenizerFiles } from "./tokenizer-config.js";

/** What is read of a folder before its kind is known. */
export interface TokenizerFolder {
  readonly files: TokenizerFiles;
  readonly config: TokenizerConfig;
  /** `tokenizer.json`, where the folder has it. */
  readonly json: Record<string, unknown> | undefined;
}

export interface TokenizerKind {
  /** For messages. */
  readonly name: string;
  recognises(folder: TokenizerFolder): boolean | Promise<boolean>;
  /** @throws ConfigError where the files are not understood */
  open(folder: TokenizerFolder): TokenizerModel | Promise<TokenizerModel>;
}
