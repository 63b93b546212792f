import { memoryFolder } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "./load-tokenizer.js";

const byt5 = {
  tokenizer_class: "ByT5Tokenizer",
  extra_ids: 2,
  pad_token: "<pad>",
  eos_token: { content: "</s>" },
};
const folder = (files: Record<string, string | object>) =>
  memoryFolder(
    Object.fromEntries(
      Object.entries(files).map(([path, data]) => [
        path,
        typeof data === "string" ? data : JSON.stringify(data),
      ]),
    ),
  );

describe("ByT5", () => {
  it("has specials, bytes, then sentinels", async () => {
    const tokenizer = await loadTokenizer(folder({ "tokenizer_config.json": byt5 }));
    expect(Array.from(tokenizer.encode("Aé").ids)).toEqual([68, 198, 172, 1]);
    expect(Array.from(tokenizer.encode("<extra_id_1><extra_id_0>a").ids)).toEqual([260, 259, 100, 1]);
    expect(Array.from(tokenizer.encode("").ids)).toEqual([1]);
    // Python's ByT5 does not add a second </s>.
    expect(tokenizer.encode("a</s>")).toMatchObject({ length: 2, untruncatedLength: 2 });
  });

  it("takes special tokens and their ids from the config", async () => {
    const decoder = { "7": { content: "<colour>" } };
    const named = { ...byt5, additional_special_tokens: ["<x>", "<y>"], added_tokens_decoder: decoder };
    const tokenizer = await loadTokenizer(folder({ "tokenizer_config.json": named }));
    expect(Array.from(tokenizer.encode("<y><x><colour>").ids)).toEqual([260, 259, 7, 1]);
  });
});

describe("truncation and padding", () => {
  it("cuts the end of the text and keeps </s>", async () => {
    const tokenizer = await loadTokenizer(folder({ "tokenizer_config.json": byt5 }));
    const cut = tokenizer.encode("abcdef", { maxLength: 4 });
    expect(Array.from(cut.ids)).toEqual([100, 101, 102, 1]);
    expect(cut).toMatchObject({ length: 4, untruncatedLength: 7 });
    const padded = tokenizer.encode("a", { maxLength: 4 });
    expect(Array.from(padded.ids)).toEqual([100, 1, 0, 0]);
    expect(Array.from(padded.attentionMask)).toEqual([1, 1, 0, 0]);
    expect(
      Array.from(tokenizer.encode("abc", { maxLength: 2, padding: "none", addSpecialTokens: false }).ids),
    ).toEqual([100, 101]);
    expect(Array.from(tokenizer.encode("\ud800", {}).ids)).toEqual([0xef + 3, 0xbf + 3, 0xbd + 3, 1]);
  });

  it("pads on the left where the config says so", async () => {
    const tokenizer = await loadTokenizer(
      folder({ "tokenizer_config.json": { ...byt5, padding_side: "left" } }),
    );
    const { ids, attentionMask } = tokenizer.encode("a", { maxLength: 4 });
    expect([Array.from(ids), Array.from(attentionMask)]).toEqual([
      [0, 0, 100, 1],
      [0, 0, 1, 1],
    ]);
  });

  it("refuses lengths that hold nothing", async () => {
    const tokenizer = await loadTokenizer(folder({ "tokenizer_config.json": byt5 }));
    expect(() => tokenizer.encode("a", { maxLength: 0 })).toThrow(/maxLength 0/);
    expect(() => tokenizer.encode("a", { maxLength: 2.5 })).toThrow(/2.5/);
    expect(() => tokenizer.encode("a", { padding: "maxLength" })).toThrow(/undefined/);
  });
});

describe("loadTokenizer", () => {
  const code = async (files: Record<string, string | object>) =>
    loadTokenizer(folder(files)).then(
      () => "loaded",
      (error: { code?: string }) => error.code,
    );

  it("says what is missing or broken", async () => {
    expect(await code({})).toBe("TOKENIZER_NOT_FOUND");
    expect(
      await code({ "tokenizer_config.json": { tokenizer_class: "Qwen2Tokenizer" }, "vocab.json": {} }),
    ).toBe("TOKENIZER_NOT_FOUND");
    expect(await code({ "tokenizer_config.json": "{" })).toBe("TOKENIZER_INVALID");
    expect(await code({ "tokenizer_config.json": "[]" })).toBe("TOKENIZER_INVALID");
    expect(await code({ "tokenizer_config.json": { extra_ids: "many" } })).toBe("TOKENIZER_INVALID");
    const unigram = { model: { type: "Unigram", unk_id: 0, vocab: [["<unk>", 0]] } };
    expect(await code({ "tokenizer.json": unigram })).toBe("loaded");
    expect(await code({ "tokenizer.json": { model: { ...unigram.model, vocab: [["a"]] } } })).toBe(
      "TOKENIZER_INVALID",
    );
    expect(await code({ "tokenizer.json": { ...unigram, normalizer: { type: "Nmt" } } })).toBe(
      "TOKENIZER_UNSUPPORTED",
    );
    expect(await code({ "tokenizer.json": { ...unigram, pre_tokenizer: { type: "Digits" } } })).toBe(
      "TOKENIZER_UNSUPPORTED",
    );
    expect(await code({ "tokenizer.json": { ...unigram, post_processor: { type: "Bert" } } })).toBe(
      "TOKENIZER_UNSUPPORTED",
    );
    const badPattern = { type: "Replace", pattern: { Regex: "(?>a)" }, content: "" };
    expect(await code({ "tokenizer.json": { ...unigram, normalizer: badPattern } })).toBe(
      "TOKENIZER_UNSUPPORTED",
    );
  });

  it("needs a padding token for padding, and a template for chats", async () => {
    const unigram = {
      model: {
        type: "Unigram",
        unk_id: 0,
        vocab: [
          ["<unk>", 0],
          ["▁a", -1],
        ],
      },
    };
    const tokenizer = await loadTokenizer(folder({ "tokenizer.json": unigram }));
    expect(() => tokenizer.encode("a", { maxLength: 8 })).toThrow(/no padding token/);
    expect(() => tokenizer.renderChat([])).toThrow(/no chat template/);
  });

  it("takes chat templates from their file first, then from the config, by name", async () => {
    const chat = [{ role: "user", content: "hi" }] as const;
    const named = [
      { name: "tools", template: "no" },
      { name: "default", template: "{{ messages[0].content }}{{ eos_token }}" },
    ];
    const config = { ...byt5, chat_template: named };
    expect((await loadTokenizer(folder({ "tokenizer_config.json": config }))).renderChat(chat)).toBe(
      "hi</s>",
    );
    const both = {
      "tokenizer_config.json": config,
      "chat_template.jinja": "{% if add_generation_prompt %}go{% endif %}",
    };
    expect((await loadTokenizer(folder(both))).renderChat(chat, { addGenerationPrompt: true })).toBe("go");
    const failing = {
      "tokenizer_config.json": byt5,
      "chat_template.jinja": "{{ raise_exception('no system turn') }}",
    };
    expect((await loadTokenizer(folder(failing))).renderChat).toBeTypeOf("function");
    const tokenizer = await loadTokenizer(folder(failing));
    expect(() => tokenizer.renderChat(chat)).toThrow(/no system turn/);
    await expect(
      loadTokenizer(folder({ "tokenizer_config.json": byt5, "chat_template.jinja": "{% for %}" })),
    ).rejects.toThrow(/chat template/);
  });

  it("renders Qwen2.5-VL's own kind of template: content as text or as parts", async () => {
    const template =
      "{% set image_count = namespace(value=0) %}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}{% for content in message['content'] %}{% if 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    const tokenizer = await loadTokenizer(
      folder({ "tokenizer_config.json": byt5, "chat_template.jinja": template }),
    );
    expect(tokenizer.renderChat([{ role: "user", content: " hi\n" }], { addGenerationPrompt: true })).toBe(
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n hi\n<|im_end|>\n<|im_start|>assistant\n",
    );
  });
});
