/** What pipelines use of a tokenizer, whatever its kind. */
import { ConfigError, checkOptionKinds, type OptionKinds, quoted } from "@lvsa/runtime/errors";
import type { ChatMessage, ChatTemplateOptions } from "./chat-template.js";
import { invalidTokenizer, MAX_ID, named } from "./limits.js";

/** Tokens; no text encoder takes nearly as many. */
const MAX_LENGTH = 2 ** 24;

export interface EncodeOptions {
  /** Longest result, special tokens included. Longer texts lose their end, but keep `</s>` where it is added. */
  readonly maxLength?: number;
  /** `maxLength` fills up with the padding token; default where `maxLength` is given. `none`: real tokens only. */
  readonly padding?: "maxLength" | "none";
  /** Add what the tokenizer puts around a text, such as `</s>`. Default: true. */
  readonly addSpecialTokens?: boolean;
}

export interface EncodedText {
  readonly ids: Int32Array<ArrayBuffer>;
  /** 1 for real tokens, 0 for padding; as long as `ids`. */
  readonly attentionMask: Int32Array<ArrayBuffer>;
  /** Real tokens, special ones included. */
  readonly length: number;
  /** What `length` would be without `maxLength`: above it, the text was cut off. */
  readonly untruncatedLength: number;
}

export interface Tokenizer {
  readonly padTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  encode(text: string, options?: EncodeOptions): EncodedText;
  /** Id of one token by its exact content, as `<|vision_start|>`. */
  tokenId(token: string): number | undefined;
  /** The chat as one text; encode it without special tokens. Throws `ConfigError` where there is no template. */
  renderChat(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
}

/** The part that differs between kinds of tokenizers: text to ids, without truncation, padding or specials. */
export interface TokenizerModel {
  /** Added and special tokens written in the text get their own ids. */
  encodeText(text: string): number[];
  tokenId(token: string): number | undefined;
  /** Put before and after every text. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** The suffix is left out where the text already ends with it. */
  readonly suffixOnce?: boolean;
}

export interface TokenizerSettings {
  readonly padToken?: string | undefined;
  readonly eosToken?: string | undefined;
  readonly paddingSide?: "left" | "right" | undefined;
  readonly renderChat?: Tokenizer["renderChat"] | undefined;
}

const ENCODE_KINDS: OptionKinds<EncodeOptions> = {
  ...{ maxLength: "any", padding: ["maxLength", "none"], addSpecialTokens: "boolean" },
};

const CHAT_KINDS: OptionKinds<ChatTemplateOptions> = { addGenerationPrompt: "boolean", variables: "object" };

/** Adds truncation, padding and special tokens to a model. */
export function createTokenizer(model: TokenizerModel, settings: TokenizerSettings): Tokenizer {
  const id = (token: string | undefined) => (token === undefined ? undefined : model.tokenId(token));
  const padTokenId = id(settings.padToken);

  const encode = (text: string, options: EncodeOptions = {}): EncodedText => {
    checkOptionKinds(ENCODE_KINDS, options, "encode");
    const { maxLength, addSpecialTokens = true } = options;
    const padding = options.padding ?? (maxLength === undefined ? "none" : "maxLength");
    const prefix = addSpecialTokens ? model.prefix : [];
    const suffix = addSpecialTokens ? model.suffix : [];
    const around = prefix.length + suffix.length;
    if (
      maxLength === undefined
        ? padding === "maxLength"
        : !Number.isInteger(maxLength) || maxLength < Math.max(around, 1) || maxLength > MAX_LENGTH
    )
      throw new ConfigError(
        "MAX_LENGTH_INVALID",
        `maxLength ${maxLength} with ${around} special tokens around each text`,
        { fix: `Pass a whole number that holds at least the special tokens, and up to ${MAX_LENGTH}.` },
      );
    // Half a surrogate pair is no character; encoders of UTF-8 put U+FFFD in its place.
    const whole = named("the text can not be encoded", "tokenizer.json", () =>
      model.encodeText(text.replace(/\p{Surrogate}/gu, "\ufffd")),
    );
    const bad = whole.find((token) => !(Number.isInteger(token) && token >= 0 && token <= MAX_ID));
    if (bad !== undefined) throw invalidTokenizer(`a token has the id ${quoted(bad)}`, "tokenizer.json");
    const kept = maxLength === undefined ? whole : whole.slice(0, maxLength - around);
    const ends = (list: readonly number[]) =>
      model.suffixOnce === true &&
      suffix.length > 0 &&
      suffix.every((token, i) => list.at(i - suffix.length) === token);
    const real = [...prefix, ...kept, ...(ends(kept) ? [] : suffix)];
    const missing = padding === "maxLength" ? (maxLength ?? 0) - real.length : 0;
    if (missing > 0 && padTokenId === undefined)
      throw new ConfigError("PAD_TOKEN_MISSING", "the tokenizer has no padding token", {
        where: "tokenizer_config.json",
        fix: 'Set "pad_token" there, or encode without padding.',
      });
    const ids = new Int32Array(real.length + missing).fill(padTokenId ?? 0);
    const start = settings.paddingSide === "left" ? missing : 0;
    ids.set(real, start);
    return {
      ids,
      attentionMask: new Int32Array(ids.length).fill(1, start, start + real.length),
      length: real.length,
      untruncatedLength: prefix.length + whole.length + (ends(whole) ? 0 : suffix.length),
    };
  };

  return {
    padTokenId,
    eosTokenId: id(settings.eosToken),
    encode,
    tokenId: (token) => model.tokenId(token),
    renderChat: (messages, options = {}) => {
      checkOptionKinds(CHAT_KINDS, options, "renderChat");
      if (!settings.renderChat)
        throw new ConfigError("CHAT_TEMPLATE_MISSING", "the tokenizer has no chat template", {
          fix: 'Add chat_template.jinja, or "chat_template" in tokenizer_config.json.',
        });
      return settings.renderChat(messages, options);
    },
  };
}
