/**
 * The tokenizer that a file of weights carries: in the metadata of GGUF (llama.cpp), or as a tensor `spiece_model`
 * (ComfyUI). Made into the files that a tokenizer's folder has.
 */
import type { GgufScalar, GgufValue, WeightSource } from "@lvsa/runtime";

export type TokenizerFolder = Readonly<Record<string, Uint8Array | string>>;

/** A SentencePiece model has a few megabytes. */
const MAX_MODEL_BYTES = 64 * 2 ** 20;
/** Numbers of llama.cpp's kinds of tokens; the first ones are SentencePiece's too. */
const CONTROL = 3;
const USER_DEFINED = 4;

/** The files, or undefined where the weights carry no tokenizer that is known. */
export async function tokenizerOf(source: WeightSource, prefix = ""): Promise<TokenizerFolder | undefined> {
  if ("values" in source) return fromGguf(source.values as ReadonlyMap<string, GgufValue>);
  const model = [`${prefix}spiece_model`, "spiece_model"].find((name) => source.has(name));
  if (model === undefined || source.info(model).byteLength > MAX_MODEL_BYTES) return undefined;
  const bytes = await source.read(model);
  // ComfyUI's conversions have been seen with a few bytes that stand for no model.
  return isSentencePiece(bytes) ? sentencePieceFolder(bytes) : undefined;
}

/** A ByT5 tokenizer needs no file: its tokens are bytes. */
export const BYT5_TOKENIZER: TokenizerFolder = {
  "tokenizer_config.json": JSON.stringify({ tokenizer_class: "ByT5Tokenizer" }),
};

function sentencePieceFolder(
  model: Uint8Array,
  tokens: Readonly<Record<string, string>> = {},
): TokenizerFolder {
  return {
    "spiece.model": model,
    "tokenizer_config.json": JSON.stringify({
      ...{ tokenizer_class: "T5Tokenizer", extra_ids: 0 },
      ...{ pad_token: "<pad>", eos_token: "</s>", unk_token: "<unk>", ...tokens },
    }),
  };
}

/** Field 1, a message of a few bytes: the first piece. */
function isSentencePiece(bytes: Uint8Array): boolean {
  return bytes.length > 64 && bytes[0] === 0x0a && bytes[2] === 0x0a;
}

function fromGguf(values: ReadonlyMap<string, GgufValue>): TokenizerFolder | undefined {
  const tokens = list(values.get("tokenizer.ggml.tokens"), "string");
  const model = values.get("tokenizer.ggml.model");
  if (!tokens) return undefined;
  if (model === "t5") return fromUnigram(values, tokens);
  if (model === "gpt2") return fromBytePairs(values, tokens);
  return undefined;
}

function fromUnigram(
  values: ReadonlyMap<string, GgufValue>,
  tokens: readonly string[],
): TokenizerFolder | undefined {
  const scores = list(values.get("tokenizer.ggml.scores"), "number");
  const types = list(values.get("tokenizer.ggml.token_type"), "number");
  if (scores?.length !== tokens.length || types?.length !== tokens.length) return undefined;
  const model = new Message();
  tokens.forEach((piece, i) => {
    model.bytes(1, new Message().text(1, piece).float(2, scores[i]!).number(3, types[i]!).done());
  });
  const hasBytes = types.includes(6);
  model.bytes(
    2,
    new Message()
      .number(3, 1)
      .number(35, hasBytes ? 1 : 0)
      .done(),
  );
  const charsmap = list(values.get("tokenizer.ggml.precompiled_charsmap"), "number");
  const normalizer = new Message();
  if (charsmap) normalizer.bytes(2, Uint8Array.from(charsmap));
  const flag = (key: string) => (values.get(`tokenizer.ggml.${key}`) === false ? 0 : 1);
  normalizer.number(3, flag("add_space_prefix")).number(4, flag("remove_extra_whitespaces")).number(5, 1);
  model.bytes(3, normalizer.done());
  const named = (key: string) => {
    const token = tokens[Number(values.get(`tokenizer.ggml.${key}_token_id`) ?? -1)];
    return token === undefined ? [] : [[TOKEN_NAMES[key as keyof typeof TOKEN_NAMES], token]];
  };
  return sentencePieceFolder(
    model.done(),
    Object.fromEntries([...named("padding"), ...named("eos"), ...named("unknown")]),
  );
}

const TOKEN_NAMES = { padding: "pad_token", eos: "eos_token", unknown: "unk_token" } as const;

/** The files of Qwen2: a vocabulary and merges, with the control tokens apart. */
function fromBytePairs(
  values: ReadonlyMap<string, GgufValue>,
  tokens: readonly string[],
): TokenizerFolder | undefined {
  const merges = list(values.get("tokenizer.ggml.merges"), "string");
  const types = list(values.get("tokenizer.ggml.token_type"), "number") ?? [];
  if (!merges) return undefined;
  const isAdded = (id: number) => types[id] === CONTROL || types[id] === USER_DEFINED;
  const decoder = tokens.flatMap((content, id) =>
    isAdded(id)
      ? [
          [
            id,
            { content, lstrip: false, rstrip: false, single_word: false, normalized: false, special: true },
          ],
        ]
      : [],
  );
  const template = values.get("tokenizer.chat_template");
  const padding = tokens[Number(values.get("tokenizer.ggml.padding_token_id") ?? -1)];
  const eos = tokens[Number(values.get("tokenizer.ggml.eos_token_id") ?? -1)];
  return {
    "vocab.json": JSON.stringify(
      Object.fromEntries(tokens.flatMap((token, id) => (isAdded(id) ? [] : [[token, id]]))),
    ),
    "merges.txt": `#version: 0.2\n${merges.join("\n")}\n`,
    "tokenizer_config.json": JSON.stringify({
      tokenizer_class: "Qwen2Tokenizer",
      added_tokens_decoder: Object.fromEntries(decoder),
      ...(padding === undefined ? {} : { pad_token: padding }),
      ...(eos === undefined ? {} : { eos_token: eos }),
      ...(typeof template === "string" ? { chat_template: template } : {}),
    }),
  };
}

function list<Kind extends "string" | "number">(
  value: GgufValue | undefined,
  kind: Kind,
): readonly (Kind extends "string" ? string : number)[] | undefined {
  if (!Array.isArray(value) || value.some((one: GgufScalar) => typeof one !== kind)) return undefined;
  return value as never;
}

/** A protobuf message, as far as SentencePiece's model needs it. */
class Message {
  readonly #parts: Uint8Array[] = [];

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint(field * 8 + 2), varint(value.length), value);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  number(field: number, value: number): this {
    this.#parts.push(varint(field * 8), varint(value));
    return this;
  }

  float(field: number, value: number): this {
    this.#parts.push(varint(field * 8 + 5), new Uint8Array(new Float32Array([value]).buffer));
    return this;
  }

  done(): Uint8Array {
    const out = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}
