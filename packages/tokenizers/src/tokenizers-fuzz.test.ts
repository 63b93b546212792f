/** Damaged and hostile files: each loads and encodes to ids that are ids, or is a named error. */
import { memoryFolder } from "@lvsa/runtime";
import { isLvsaError } from "@lvsa/runtime/errors";
import { seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "./load-tokenizer.js";
import { QWEN2_WORDS } from "./pattern.js";

const SEED = 20260215;
const MUTATIONS = 4000;

const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
const special = (id: number, content: string) => ({ ...plain, id, content, special: true });
const unigramJson = {
  version: "1.0",
  added_tokens: [special(0, "<pad>"), special(1, "</s>"), special(2, "<unk>"), special(9, "<extra_id_0>")],
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Precompiled", precompiled_charsmap: "" },
      { type: "Strip", strip_left: false, strip_right: true },
      { type: "Replace", pattern: { Regex: " {2,}" }, content: "▁" },
    ],
  },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "WhitespaceSplit" },
      { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
    ],
  },
  post_processor: {
    type: "TemplateProcessing",
    single: [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: "</s>", type_id: 0 } }],
    special_tokens: { "</s>": { id: "</s>", ids: [1], tokens: ["</s>"] } },
  },
  model: {
    type: "Unigram",
    unk_id: 2,
    byte_fallback: false,
    vocab: ["<pad>", "</s>", "<unk>", "▁", "a", "red", "▁cat", "ed", "r"].map((piece, i) => [piece, -i / 2]),
  },
};
const bpeJson = {
  version: "1.0",
  added_tokens: [special(8, "<|im_start|>"), special(9, "<|im_end|>")],
  normalizer: { type: "NFC" },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Split", pattern: { Regex: QWEN2_WORDS }, behavior: "Isolated", invert: false },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    ],
  },
  post_processor: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
  decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
  model: {
    ...{ type: "BPE", dropout: null, unk_token: "u", byte_fallback: false, ignore_merges: false },
    vocab: Object.fromEntries(["u", "a", "Ġ", "c", "t", "Ġa", "ca", "cat"].map((piece, i) => [piece, i])),
    merges: ["Ġ a", "c a", "ca t"],
  },
};
const TEMPLATE =
  "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
const bytesField = (field: number, bytes: ArrayLike<number>) => [
  ...varint(field * 8 + 2),
  ...varint(bytes.length),
  ...Array.from(bytes),
];
const utf8 = (text: string) => new TextEncoder().encode(text);
const float32 = (value: number) => new Uint8Array(Float32Array.of(value).buffer);
const piece = (text: string, score: number, type = 1) =>
  bytesField(1, [...bytesField(1, utf8(text)), 0x15, ...float32(score), 0x18, type]);
const spiece = Uint8Array.from([
  ...[...piece("<pad>", 0, 3), ...piece("</s>", 0, 3), ...piece("<unk>", 0, 2)],
  ...["▁", "a", "▁red", "cat", "c", "t"].flatMap((text, i) => piece(text, -1 - i)),
  ...bytesField(2, [0x18, 1]),
]);

type Files = Readonly<Record<string, string | Uint8Array>>;
const config = (value: object) => JSON.stringify({ pad_token: "<pad>", eos_token: "</s>", ...value });
const bases: readonly Files[] = [
  {
    "tokenizer_config.json": config({ tokenizer_class: "T5Tokenizer" }),
    "tokenizer.json": JSON.stringify(unigramJson),
  },
  {
    "tokenizer_config.json": config({ tokenizer_class: "T5Tokenizer", extra_ids: 3 }),
    "spiece.model": spiece,
  },
  {
    "tokenizer_config.json": config({ tokenizer_class: "Qwen2Tokenizer", pad_token: "u", bos_token: null }),
    "tokenizer.json": JSON.stringify(bpeJson),
    "chat_template.jinja": TEMPLATE,
  },
  {
    "tokenizer_config.json": config({
      ...{ tokenizer_class: "Qwen2Tokenizer", pad_token: "u", chat_template: TEMPLATE },
      added_tokens_decoder: { "8": { ...plain, content: "<|im_start|>" } },
    }),
    "vocab.json": JSON.stringify(bpeJson.model.vocab),
    "merges.txt": `#version: 0.2\n${bpeJson.model.merges.join("\n")}\n`,
  },
  {
    "tokenizer_config.json": config({ tokenizer_class: "ByT5Tokenizer", extra_ids: 5, unk_token: "<unk>" }),
    "added_tokens.json": JSON.stringify({ "<colour>": 260 }),
  },
];
const PROMPTS = [
  "a red cat",
  "",
  "a".repeat(3000),
  "\u0000\u001b[31m \ud800 日本語 👩‍👩‍👧 ﬁ",
  "<extra_id_0></s><pad><|im_start|>",
];

/** Loads and encodes; returns "loaded" or the code of a named error. */
async function outcome(files: Files): Promise<string> {
  try {
    const tokenizer = await loadTokenizer(memoryFolder(files as Record<string, string>, "tokenizer"));
    for (const prompt of PROMPTS)
      for (const id of tokenizer.encode(prompt).ids)
        if (!(id >= 0)) throw new Error(`id ${id} for ${prompt.slice(0, 20)}`);
    const hasTemplate = "chat_template.jinja" in files;
    if (hasTemplate)
      tokenizer.renderChat([{ role: "user", content: "a cat" }], { addGenerationPrompt: true });
    return "loaded";
  } catch (error) {
    if (!isLvsaError(error)) throw error;
    expect(error.fix).toBeTruthy();
    expect(error.message.length).toBeLessThan(2000);
    return error.code;
  }
}

describe("bases", () => {
  it.each(bases.map((files, i) => [i, files] as const))("%i loads", async (_, files) => {
    expect(await outcome(files)).toBe("loaded");
  });
});

describe("hostile files", () => {
  const [unigram, sentencePiece, bpe, , byt5] = bases as [Files, Files, Files, Files, Files];
  const json = (change: (json: typeof unigramJson) => unknown) => ({
    ...unigram,
    "tokenizer.json": JSON.stringify(change(structuredClone(unigramJson))),
  });
  const replace = (pattern: object, content = "x") =>
    json((file) => ({ ...file, normalizer: { type: "Replace", pattern, content } }));
  const model = (...extra: number[][]) => ({
    ...sentencePiece,
    "spiece.model": Uint8Array.from([...spiece, ...extra.flat()]),
  });
  const template = (source: string) => ({ ...bpe, "chat_template.jinja": source });
  const nested = (open: string, close: string, depth: number) => ({
    ...unigram,
    "tokenizer.json": JSON.stringify({ ...unigramJson, normalizer: "@" }).replace(
      '"@"',
      `${open.repeat(depth)}{"type":"NFC"}${close.repeat(depth)}`,
    ),
  });

  it.each<[string, Files, string]>([
    ["a pattern that takes exponential time", replace({ Regex: "(a+)+$" }), "TOKENIZER_UNSUPPORTED"],
    ["a pattern that takes quadratic time", replace({ Regex: "a+b" }), "TOKENIZER_UNSUPPORTED"],
    ["a pattern with optional parts", replace({ Regex: "a?a?a?aaa" }), "TOKENIZER_UNSUPPORTED"],
    ["a simple pattern", replace({ Regex: "\\s{2,}|[a-c]d*" }), "loaded"],
    ["a replacement of 200,000 characters", replace({ String: "a" }, "x".repeat(2e5)), "TOKENIZER_INVALID"],
    [
      "normalizers that multiply the text",
      json((file) => ({
        ...file,
        normalizer: {
          type: "Sequence",
          normalizers: Array.from({ length: 20 }, () => ({
            ...{ type: "Replace", pattern: { String: "a" }, content: "a".repeat(100) },
          })),
        },
      })),
      "TOKENIZER_INVALID",
    ],
    ["normalizers in 31 sequences", nested('{"type":"Sequence","normalizers":[', "]}", 31), "loaded"],
    [
      "normalizers in 20,000 sequences",
      nested('{"type":"Sequence","normalizers":[', "]}", 2e4),
      "TOKENIZER_INVALID",
    ],
    [
      "normalizers that are no list",
      json((file) => ({ ...file, normalizer: { type: "Sequence", normalizers: 7 } })),
      "TOKENIZER_INVALID",
    ],
    [
      "a post_processor without single",
      json((file) => ({ ...file, post_processor: { type: "TemplateProcessing" } })),
      "TOKENIZER_INVALID",
    ],
    [
      "a post_processor with an unknown token",
      json((file) => ({ ...file, post_processor: { ...file.post_processor, special_tokens: {} } })),
      "TOKENIZER_INVALID",
    ],
    ["no post_processor", json(({ post_processor: _, ...file }) => file), "loaded"],
    [
      "a charsmap that is not base64",
      json((file) => ({ ...file, normalizer: { type: "Precompiled", precompiled_charsmap: "ö" } })),
      "TOKENIZER_INVALID",
    ],
    [
      "an added token of 200,000 characters",
      json((file) => ({ ...file, added_tokens: [special(3, "x".repeat(2e5))] })),
      "TOKENIZER_INVALID",
    ],
    [
      "a piece of 3,000 characters",
      json((file) => ({
        ...file,
        model: { ...file.model, vocab: [...file.model.vocab, ["x".repeat(3000), -1]] },
      })),
      "TOKENIZER_INVALID",
    ],
    [
      "an unknown piece that is none",
      json((file) => ({ ...file, model: { ...file.model, unk_id: 99 } })),
      "TOKENIZER_INVALID",
    ],
    ["no pieces", json((file) => ({ ...file, model: { ...file.model, vocab: [] } })), "TOKENIZER_INVALID"],
    [
      "4e9 sentinels",
      { ...byt5, "tokenizer_config.json": config({ tokenizer_class: "ByT5Tokenizer", extra_ids: 4e9 }) },
      "TOKENIZER_INVALID",
    ],
    [
      "1e12 sentinels",
      { ...sentencePiece, "tokenizer_config.json": config({ extra_ids: 1e12 }) },
      "TOKENIZER_INVALID",
    ],
    ["an empty user-defined piece", model(piece("", 0, 4)), "TOKENIZER_INVALID"],
    [
      "a piece with a cut score",
      model(bytesField(1, [...bytesField(1, utf8("x")), 0x12, 1, 0])),
      "TOKENIZER_INVALID",
    ],
    ["a score that is no number", model(piece("x", Number.NaN)), "TOKENIZER_INVALID"],
    ["a piece of 3,000 bytes", model(piece("x".repeat(3000), -1)), "TOKENIZER_INVALID"],
    ["a field of 2^60 bytes", model([0x0a, ...varint(2 ** 50)]), "TOKENIZER_INVALID"],
    ["a character map of noise", model(bytesField(3, bytesField(2, [1, 2, 3]))), "CHARSMAP_INVALID"],
    [
      "a loop of 1e9 turns",
      template("{% for i in range(1000000000) %}x{% endfor %}"),
      "CHAT_TEMPLATE_INVALID",
    ],
    [
      "loops within loops",
      template(`${"{% for i in range(100) %}".repeat(6)}x${"{% endfor %}".repeat(6)}`),
      "CHAT_TEMPLATE_INVALID",
    ],
    [
      "a text that doubles",
      template(
        "{% set n = namespace(x='abc') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
      ),
      "CHAT_TEMPLATE_INVALID",
    ],
    [
      "a macro that calls itself twice",
      template("{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}"),
      "CHAT_TEMPLATE_INVALID",
    ],
    ["an unfinished template", template("{% if"), "CHAT_TEMPLATE_INVALID"],
    ["a template that refuses", template("{{ raise_exception('no\u001b[31m') }}"), "CHAT_TEMPLATE_INVALID"],
    [
      "BPE with a slow pattern",
      { ...bpe, "tokenizer.json": JSON.stringify(bpeJson).replace(JSON.stringify(QWEN2_WORDS), '"(a+)+$"') },
      "TOKENIZER_UNSUPPORTED",
    ],
  ])("%s: %3$s", async (_, files, expected) => {
    expect(await outcome(files)).toBe(expected);
  });

  it("write no control characters into messages", async () => {
    const config = JSON.stringify({ tokenizer_class: "\u001b]0;owned\u0007" });
    await expect(loadTokenizer(memoryFolder({ "tokenizer_config.json": config }))).rejects.toThrow(
      /"\\u001b\]0;owned\\u0007"/,
    );
  });
});

describe("very long prompts", () => {
  it.each(bases.map((files, i) => [i, files] as const))(
    "%i: a text of 250,000 characters",
    async (_, files) => {
      const tokenizer = await loadTokenizer(memoryFolder(files as Record<string, string>));
      for (const unit of ["\u{1f9ff}", "日", "a", " ", "a cat ", "\u0301"]) {
        const text = unit.repeat(250_000 / unit.length);
        const { ids, untruncatedLength } = tokenizer.encode(text, { maxLength: 64 });
        expect(ids.length).toBe(64);
        // The start of a long text is what the text alone would be.
        const short = tokenizer.encode(text.slice(0, 3000), { maxLength: 64 });
        if (short.untruncatedLength > 100) expect(ids).toEqual(short.ids);
        expect(untruncatedLength).toBeGreaterThanOrEqual(short.untruncatedLength);
      }
    },
  );
});

describe(`${MUTATIONS} mutations with seed ${SEED}`, () => {
  const uniform = seededUniform(SEED);
  const below = (n: number) => Math.floor(uniform() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const ODD: readonly unknown[] = [
    ...[null, 0, -1, 1.5, 1e308, 2 ** 31, 1e12, true, "", "x", "\u0000", "\ud800", [], {}, [[]], [null]],
    ...["x".repeat(5000), "(a+)+$", "(", "[", "\\", "{{ a.b.c }}", "{% if", "__proto__", [["a", -1]]],
  ];

  function paths(value: unknown, at: readonly string[] = []): (readonly string[])[] {
    if (typeof value !== "object" || value === null) return [];
    return Object.keys(value).flatMap((key) => [
      [...at, key],
      ...paths((value as Record<string, unknown>)[key], [...at, key]),
    ]);
  }
  function mutateJson(text: string): string {
    const value: unknown = JSON.parse(text);
    const path = pick(paths(value));
    let parent = value as Record<string, unknown>;
    for (const key of path.slice(0, -1)) parent = parent[key] as Record<string, unknown>;
    const key = path.at(-1)!;
    if (below(4) > 0) parent[key] = pick(ODD);
    else if (Array.isArray(parent)) parent.splice(Number(key), 1);
    else delete parent[key];
    return JSON.stringify(value);
  }
  function mutateBytes(bytes: Uint8Array): Uint8Array {
    if (below(4) === 0) return bytes.slice(0, below(bytes.length));
    const mutated = bytes.slice();
    for (let flips = 1 + below(6); flips > 0; flips--) mutated[below(mutated.length)] = below(256);
    return mutated;
  }

  it("load and encode, or end in a named error", async () => {
    const codes = new Map<string, number>();
    for (let i = 0; i < MUTATIONS; i++) {
      const files = pick(bases);
      const path = pick(Object.keys(files));
      const file = files[path]!;
      const mutated =
        typeof file === "string" && path.endsWith(".json") && below(6) > 0
          ? mutateJson(file)
          : mutateBytes(typeof file === "string" ? utf8(file) : file);
      const code = await outcome({ ...files, [path]: mutated }).catch((cause: unknown) => {
        throw new Error(`mutation ${i} of ${path}: ${String(mutated).slice(0, 300)}`, { cause });
      });
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // The mutations must reach the checks, or this test looks at too little.
    for (const code of ["loaded", "TOKENIZER_INVALID", "TOKENIZER_UNSUPPORTED", "CHAT_TEMPLATE_INVALID"])
      expect(codes.get(code), code).toBeGreaterThan(20);
  });
});
