/** Random strings through made-up tokenizers, against Hugging Face's own library (Rust). */
import { Tokenizer as Oracle } from "tokenizers";
import { describe, expect, it } from "vitest";
import { createBpeTokenizerModel, qwen2TokenizerJson } from "./bpe-tokenizer.js";
import { randomTexts } from "./testing-support/random-text.js";
import type { TokenizerModel } from "./tokenizer.js";
import { createUnigramTokenizerModel } from "./unigram-tokenizer.js";

const BYTES = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
const WORDS =
  "▁|▁the|▁cat|the|ca|t|a|b|▁a|▁wide|-|view|▁shot|:|3|5|m|35|猫|犬|é|e|n|na|ï|v|▁▁|👨|\u200d|'s|.|..|x|xx|xxxx".split(
    "|",
  );
/** The library numbers added tokens from the end of the vocabulary, whatever the file says. */
const FIRST_ADDED = 3 + WORDS.length;
const token = (id: number, content: string, flags: object = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...flags,
});

function unigram(parts: object, byteFallback = false, tokens: object[] = []): object {
  const special = ["<pad>", "</s>", "<unk>"];
  const pieces = [...special, ...(byteFallback ? BYTES : []), ...WORDS];
  // Scores with ties among them, so that the order of equal paths counts too.
  const score = (piece: string, i: number) => (special.includes(piece) ? 0 : -2 - ((i * 7) % 11) * 0.5);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [...special.map((content, id) => token(id, content)), ...tokens],
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "</s>", type_id: 0 } }],
      pair: [{ Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 0 } }],
      special_tokens: { "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] } },
    },
    decoder: null,
    model: {
      type: "Unigram",
      unk_id: 2,
      vocab: pieces.map((piece, i) => [piece, score(piece, i)]),
      byte_fallback: byteFallback,
    },
    ...parts,
  };
}

const spaces = { type: "Replace", pattern: { Regex: " {2,}" }, content: " " };
const kinds: Record<string, object> = {
  plain: unigram({}),
  "UMT5's: NFKC and byte pieces": unigram(
    { normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }, spaces] } },
    true,
  ),
  "T5's: words at white space": unigram({
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "WhitespaceSplit" },
        { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
      ],
    },
  }),
  "a mark before the first word only": unigram({
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
  }),
  "no mark and no cut": unigram({
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "never", split: false },
  }),
  "strips and string replacements": unigram({
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Strip", strip_left: true, strip_right: true },
        { type: "Replace", pattern: { String: "cat" }, content: "a$&b" },
        { type: "Prepend", prepend: "the " },
        { type: "NFD" },
      ],
    },
  }),
  "added tokens with flags": unigram({ normalizer: { type: "NFKC" } }, false, [
    token(FIRST_ADDED, "<extra_id_1>"),
    token(FIRST_ADDED + 1, "<extra_id_12>"),
    token(FIRST_ADDED + 2, "<l>", { lstrip: true }),
    token(FIRST_ADDED + 3, "<r>", { rstrip: true }),
    token(FIRST_ADDED + 4, "cat", { single_word: true }),
    token(FIRST_ADDED + 5, "ﬁ", { normalized: true, special: false }),
  ]),
};
const extra = [
  "<extra_id_1>",
  "<extra_id_12>",
  "<extra_id_1",
  "</s>",
  "<unk>",
  "<l>",
  "<r>",
  " <l> ",
  " <r> ",
  "cat",
  "fi",
  "<0x41>",
];

async function expectEqual(json: object, model: TokenizerModel, texts: readonly string[]): Promise<void> {
  const oracle = Oracle.fromString(JSON.stringify(json));
  for (const text of texts) {
    const encoding = await oracle.encode(text, null, { addSpecialTokens: false });
    expect(model.encodeText(text), JSON.stringify(text.slice(0, 200))).toEqual(encoding.getIds());
  }
  const whole = (await oracle.encode("the cat")).getIds();
  expect([...model.prefix, ...model.encodeText("the cat"), ...model.suffix]).toEqual(whole);
}

describe("Unigram tokenizers against the tokenizers library", () => {
  for (const [name, json] of Object.entries(kinds)) {
    it(name, async () => {
      await expectEqual(json, createUnigramTokenizerModel(json), randomTexts(400, 5, extra));
    });
  }
});

describe("byte-pair tokenizers against the tokenizers library", () => {
  it("Qwen2's from vocab.json and merges.txt", async () => {
    // The byte alphabet as GPT-2 writes it: printable bytes as they are, the others from U+0100 on.
    const printable = (byte: number) =>
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    let shifted = 0x100;
    const alphabet = Array.from({ length: 256 }, (_, byte) =>
      String.fromCodePoint(printable(byte) ? byte : shifted++),
    );
    const merges = [
      "t h",
      "th e",
      "Ġ the",
      "c a",
      "ca t",
      "Ġ cat",
      "Ġ Ġ",
      "' s",
      "ç Į",
      "çĮ «",
      "Ċ Ċ",
      "a a",
      "x x",
      "xx xx",
    ];
    const vocab = Object.fromEntries(
      [...alphabet, ...merges.map((merge) => merge.replace(" ", ""))].map((piece, id) => [piece, id]),
    );
    const tokens = [token(270, "<|im_start|>"), token(271, "<|im_end|>")].map(
      ({ special: _, ...rest }) => rest,
    );
    const json = qwen2TokenizerJson(vocab, `#version: 0.2\n${merges.join("\n")}\n`, tokens);
    // The library wants the flag that tells special tokens apart.
    const marked = { ...json, added_tokens: tokens.map((entry) => ({ ...entry, special: true })) };
    const texts = randomTexts(400, 6, ["<|im_start|>", "<|im_end|>", "<|im_", "|>"]);
    await expectEqual(marked, createBpeTokenizerModel(json, {}), texts);
  });
});
