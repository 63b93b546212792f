/** Against ids that the SentencePiece library gave, and broken files. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseSentencePieceModel } from "./sentencepiece-model.js";
import { createSentencePieceTokenizerModel } from "./sentencepiece-tokenizer.js";

const fixture = (name: string) => new URL(`./__fixtures__/${name}`, import.meta.url);
const golden = JSON.parse(readFileSync(fixture("sentencepiece-ids.json"), "utf8")) as {
  texts: string[];
  ids: Record<string, number[][]>;
};
const models: Record<string, URL> = {
  "byte-fallback.model": fixture("byte-fallback.model"),
  // The repository's own copy, whatever LVSA_REFERENCE_DIR says: the ids belong to this vocabulary.
  text_t5: new URL(
    "../../../fixtures/reference/cogvideox/text_t5/checkpoint/tokenizer/spiece.model",
    import.meta.url,
  ),
};
const plain = { addedTokens: [], specialTokens: [], eosToken: "</s>" };

describe("SentencePiece models", () => {
  for (const [name, expected] of Object.entries(golden.ids)) {
    it(`${name} gives the library's ids`, () => {
      const model = createSentencePieceTokenizerModel(
        parseSentencePieceModel(readFileSync(models[name]!)),
        plain,
      );
      for (const [i, text] of golden.texts.entries())
        expect(model.encodeText(text), JSON.stringify(text)).toEqual(expected[i]);
    });
  }

  it("give special tokens their ids, and sentinels theirs", () => {
    const parsed = parseSentencePieceModel(readFileSync(models["byte-fallback.model"]!));
    const sentinel = {
      id: 999,
      content: "<extra_id_0>",
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    };
    const model = createSentencePieceTokenizerModel(parsed, {
      addedTokens: [sentinel],
      specialTokens: ["</s>", "<pad>", "<absent>"],
      eosToken: "</s>",
    });
    expect(model.encodeText("</s><extra_id_0><pad>")).toEqual([1, 999, 0]);
    expect(model.suffix).toEqual([1]);
    expect(model.tokenId("<extra_id_0>")).toBe(999);
    expect(model.tokenId("<absent>")).toBeUndefined();
  });

  it("that are cut off or something else are refused, and never hang", () => {
    const data = readFileSync(models["byte-fallback.model"]!);
    expect(() => parseSentencePieceModel(new Uint8Array())).toThrow(/no pieces/);
    expect(() => parseSentencePieceModel(new TextEncoder().encode("{}{}{}{}"))).toThrow(/SentencePiece/);
    let refused = 0;
    for (let size = 1; size < data.length; size += 37) {
      try {
        parseSentencePieceModel(data.subarray(0, size));
      } catch (error) {
        expect((error as { code?: string }).code).toBe("TOKENIZER_INVALID");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(0);
    const bpe = { ...parseSentencePieceModel(data), modelType: "bpe" as const };
    expect(() => createSentencePieceTokenizerModel(bpe, plain)).toThrow(/type "bpe"/);
    const charsmap = { ...parseSentencePieceModel(data), charsmap: Uint8Array.of(255, 255, 255, 0, 1) };
    expect(() => createSentencePieceTokenizerModel(charsmap, plain)).toThrow(/precompiled_charsmap/);
  });
});
