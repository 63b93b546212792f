/** A tokenizer from the first kind that knows its folder. */
import { ConfigError, quoted } from "@lvsa/runtime/errors";
import { asNamed } from "./limits.js";
import { createTokenizer, type Tokenizer } from "./tokenizer.js";
import { readJson, type TokenizerConfig, type TokenizerFiles, where } from "./tokenizer-config.js";
import type { TokenizerKind } from "./tokenizer-kind.js";

/** @throws ConfigError `TOKENIZER_NOT_FOUND` where no kind does, and others: whatever a file holds has a name */
export async function openTokenizer(
  files: TokenizerFiles,
  config: TokenizerConfig,
  kinds: readonly TokenizerKind[],
  renderChat: Tokenizer["renderChat"] | undefined,
): Promise<Tokenizer> {
  try {
    return await open(files, config, kinds, renderChat);
  } catch (cause) {
    throw asNamed("the tokenizer can not be loaded", where(files, "tokenizer.json"), cause);
  }
}

async function open(
  files: TokenizerFiles,
  config: TokenizerConfig,
  kinds: readonly TokenizerKind[],
  renderChat: Tokenizer["renderChat"] | undefined,
): Promise<Tokenizer> {
  const json = (await files.exists("tokenizer.json")) ? await readJson(files, "tokenizer.json") : undefined;
  const folder = { files, config, json };
  const isT5 = /T5/i.test(config.tokenizer_class ?? "");
  for (const kind of kinds) {
    if (!(await kind.recognises(folder))) continue;
    return createTokenizer(await kind.open(folder), {
      padToken: config.pad_token ?? (isT5 ? "<pad>" : undefined),
      eosToken: config.eos_token ?? (isT5 ? "</s>" : undefined),
      paddingSide: config.padding_side ?? undefined,
      renderChat,
    });
  }
  const found = config.tokenizer_class ? quoted(config.tokenizer_class) : "(none named)";
  throw new ConfigError(
    "TOKENIZER_NOT_FOUND",
    json ? `the tokenizer of class ${found} is of another kind` : `no tokenizer files for class ${found}`,
    {
      where: where(files, "tokenizer.json"),
      fix: `The folder needs one of these: ${kinds.map(({ name }) => name).join(", ")}.`,
    },
  );
}
