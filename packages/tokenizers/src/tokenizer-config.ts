/** Reading `tokenizer_config.json` and the small files beside it. */
import { ConfigError, quoted } from "@lvsa/runtime/errors";
import * as z from "zod";
import { type AddedToken, addedTokenSchema } from "./added-tokens.js";
import { invalidTokenizer, MAX_EXTRA_IDS } from "./limits.js";

/** Where a tokenizer's files lie; paths are relative to its folder. A runtime `FolderReader` is one. */
export interface TokenizerFiles {
  /** For messages. */
  readonly name?: string;
  readText(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  exists(path: string): Promise<boolean>;
}

/** A token is written as text or as an object with flags. */
const tokenSchema = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullish()
  .transform((token) => (typeof token === "string" ? token : (token?.content ?? undefined)));

const configSchema = z.looseObject({
  tokenizer_class: z.string().nullish(),
  pad_token: tokenSchema,
  eos_token: tokenSchema,
  bos_token: tokenSchema,
  unk_token: tokenSchema,
  extra_ids: z.number().int().min(0).max(MAX_EXTRA_IDS).nullish(),
  additional_special_tokens: z.array(tokenSchema).nullish(),
  padding_side: z.enum(["left", "right"]).nullish(),
  added_tokens_decoder: z.record(z.string(), addedTokenSchema.omit({ id: true })).nullish(),
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])
    .nullish(),
});

export type TokenizerConfig = z.output<typeof configSchema> & {
  /** The file as it is, for libraries that read it themselves. */
  readonly raw: Readonly<Record<string, unknown>>;
  /** From `added_tokens_decoder`, or else `added_tokens.json`. */
  readonly addedTokens: readonly AddedToken[];
};

/** The config with `special_tokens_map.json` and `added_tokens.json` folded in. Missing files count as empty. */
export async function readTokenizerConfig(files: TokenizerFiles): Promise<TokenizerConfig> {
  const raw = {
    ...(await readJsonIfThere(files, "special_tokens_map.json")),
    ...(await readJsonIfThere(files, "tokenizer_config.json")),
  };
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success)
    throw new ConfigError("TOKENIZER_INVALID", z.prettifyError(parsed.error), {
      where: where(files, "tokenizer_config.json"),
      fix: "Download the tokenizer again.",
      cause: parsed.error,
    });
  const config = parsed.data;
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const decoder = config.added_tokens_decoder;
  const listed = decoder
    ? Object.entries(decoder).map(([id, token]) => ({ ...token, id: Number(id) }))
    : Object.entries(await readJsonIfThere(files, "added_tokens.json")).map(([content, id]) => ({
        ...plain,
        content,
        id,
      }));
  const addedTokens = listed.map((token): AddedToken => {
    const checked = addedTokenSchema.safeParse(token);
    if (checked.success) return checked.data;
    const path = where(files, decoder ? "tokenizer_config.json" : "added_tokens.json");
    const [issue] = checked.error.issues;
    throw invalidTokenizer(
      `added token ${quoted(token.content)}: "${issue?.path.join(".")}" ${issue?.message}`,
      path,
      checked.error,
    );
  });
  return { ...config, raw, addedTokens };
}

/** The template from its own file, or from the config; undefined where there is none. */
export async function readChatTemplate(
  files: TokenizerFiles,
  config: TokenizerConfig,
): Promise<string | undefined> {
  if (await files.exists("chat_template.jinja")) return files.readText("chat_template.jinja");
  const template = config.chat_template ?? (await readJsonIfThere(files, "chat_template.json")).chat_template;
  if (typeof template === "string") return template;
  const named = Array.isArray(template) ? (template as readonly { name: string; template: string }[]) : [];
  return named.find(({ name }) => name === "default")?.template;
}

/** Throws `ConfigError` for text that is not a JSON object. */
export async function readJson(files: TokenizerFiles, path: string): Promise<Record<string, unknown>> {
  const text = await files.readText(path);
  let value: unknown;
  let cause: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    cause = error;
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new ConfigError("TOKENIZER_INVALID", "the file is not a JSON object", {
    where: where(files, path),
    fix: "Download the tokenizer again.",
    cause,
  });
}

export function where(files: TokenizerFiles, path: string): string {
  return files.name === undefined ? path : `${files.name}/${path}`;
}

async function readJsonIfThere(files: TokenizerFiles, path: string): Promise<Record<string, unknown>> {
  return (await files.exists(path)) ? readJson(files, path) : {};
}
