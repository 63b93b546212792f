/** Random strings through every `tokenizer.json` of the reference checkpoints, against the tokenizers library. */
import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceDirectory } from "@lvsa/runtime/testing";
import { Tokenizer as Oracle } from "tokenizers";
import { describe, expect, it } from "vitest";
import { loadTokenizer } from "./load-tokenizer.js";
import { randomTexts } from "./testing-support/random-text.js";

const root = referenceDirectory();
const names = await readdir(root, { recursive: true }).catch(() => []);
const files = names.filter((name) => /tokenizer\.json$/.test(name)).sort();
if (files.length === 0) console.warn(`no tokenizer.json below ${root}: set LVSA_REFERENCE_DIR`);

describe.skipIf(files.length === 0)("tokenizer.json against the tokenizers library", () => {
  for (const file of files) {
    it(file, async () => {
      const oracle = Oracle.fromString(readFileSync(join(root, file), "utf8"));
      const tokenizer = await loadTokenizer(nodeFolder(join(root, dirname(file))));
      const texts = randomTexts(250, 7, [
        "<|im_start|>",
        "<|im_end|>",
        "</s>",
        "<extra_id_7>",
        "<pad>",
        "<unk>",
      ]);
      for (const text of texts) {
        const expected = (await oracle.encode(text)).getIds();
        const label = JSON.stringify(text.slice(0, 200));
        expect(Array.from(tokenizer.encode(text).ids), label).toEqual(expected);
        const cut = tokenizer.encode(text, { maxLength: 8 });
        expect(cut.untruncatedLength, label).toBe(expected.length);
        if (expected.length > 8) expect(cut.ids[7], label).toBe(tokenizer.encode("").ids[0] ?? expected[7]);
      }
    });
  }
});
