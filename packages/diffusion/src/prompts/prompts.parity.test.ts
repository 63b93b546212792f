/** Token ids of every text that the reference data has, from prompt to ids, exactly. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { nodeFolder } from "@lvsa/runtime/node";
import { type GoldenTensors, referenceCases } from "@lvsa/runtime/testing";
import type { EncodedText, Tokenizer } from "@lvsa/tokenizers";
import { loadTokenizer } from "@lvsa/tokenizers";
import { describe, expect, it } from "vitest";
import { hasExpected, type OpenedCase, openCase, values } from "../testing-support/reference-case.js";
import { promptClean } from "./prompt-clean.js";
import { encodeCogVideoXPrompt } from "./prompts-cogvideox.js";
import { cosmos3Chat, encodeCosmos3Prompt } from "./prompts-cosmos3.js";
import {
  encodeHunyuanVideo15Glyphs,
  encodeHunyuanVideo15Prompt,
  HUNYUAN_VIDEO_15_CROP_START,
  hunyuanVideo15Chat,
  hunyuanVideo15GlyphText,
} from "./prompts-hunyuan.js";
import { encodeWanPrompt } from "./prompts-wan.js";

interface PromptEntry {
  readonly prompt: string;
  readonly rendered?: string;
  readonly valid_after_crop?: number;
  readonly glyph_text?: string | null;
  readonly real_tokens?: number;
  readonly truncated?: boolean;
}

/** Cases of a family with one of the tokenizer folders. */
function casesWith(family: string, folders: readonly string[]) {
  const found = referenceCases(family).filter(
    (reference) =>
      hasExpected(reference) &&
      folders.some((folder) =>
        existsSync(join(reference.directory, "checkpoint", folder, "tokenizer_config.json")),
      ),
  );
  if (found.length === 0) console.warn(`no ${family} text data: set LVSA_REFERENCE_DIR`);
  return found;
}

const open = (opened: OpenedCase, folder: string): Promise<Tokenizer> =>
  loadTokenizer(nodeFolder(join(opened.checkpoint, folder)));
const realIds = ({ ids, attentionMask }: EncodedText) =>
  Array.from(ids).filter((_, i) => attentionMask[i] === 1);

/** The prompt and negative prompt of a whole run, under the names of their tensors. */
function runPrompts({ parameters }: OpenedCase): [string, string][] {
  if (typeof parameters.prompt !== "string") return [];
  return [
    ["positive", parameters.prompt],
    ["negative", String(parameters.negative_prompt)],
  ];
}

/** Counts comparisons, so that a case without any is seen. */
function expectIds(actual: readonly number[] | Int32Array, tensors: GoldenTensors, name: string): void {
  expect(Array.from(actual), name).toEqual(values(tensors, name));
}

const wan = casesWith("wan", ["tokenizer"]);
describe.skipIf(wan.length === 0)("Wan", () => {
  for (const reference of wan) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const tokenizer = await open(opened, "tokenizer");
      const texts = (opened.parameters.texts ?? {}) as Record<
        string,
        { text: string; cleaned?: string; length_with_eos: number; ids_untruncated: number[] }
      >;
      for (const [name, { text, cleaned, length_with_eos, ids_untruncated }] of Object.entries(texts)) {
        if (cleaned !== undefined) expect(promptClean(text), name).toBe(cleaned);
        expect(Array.from(tokenizer.encode(promptClean(text)).ids), name).toEqual(ids_untruncated);
        // Some cases state the ids alone.
        if (!opened.tensors[`text.${name}.ids`]) continue;
        const whole = values(opened.tensors, `text.${name}.ids`);
        const encoded = encodeWanPrompt(tokenizer, text, whole.length);
        expectIds(encoded.ids, opened.tensors, `text.${name}.ids`);
        if (opened.tensors[`text.${name}.mask`])
          expectIds(encoded.attentionMask, opened.tensors, `text.${name}.mask`);
        expect(encoded.length, name).toBe(length_with_eos);
        expect(encoded.untruncatedLength, name).toBe(ids_untruncated.length);
      }
    });
  }
});

const hunyuan = casesWith("hunyuan", ["tokenizer", "tokenizer_2"]);
describe.skipIf(hunyuan.length === 0)("HunyuanVideo 1.5", () => {
  for (const reference of hunyuan) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const { tensors, checkpoint } = opened;
      const has = (folder: string) => existsSync(join(checkpoint, folder));
      const prompts = (opened.parameters.prompts ?? []) as PromptEntry[];
      if (has("tokenizer")) {
        const tokenizer = await open(opened, "tokenizer");
        for (const [i, { prompt, rendered, valid_after_crop }] of prompts.entries()) {
          expect(tokenizer.renderChat(hunyuanVideo15Chat(prompt), { addGenerationPrompt: true })).toBe(
            rendered,
          );
          const encoded = encodeHunyuanVideo15Prompt(tokenizer, prompt);
          expect(encoded.ids.length).toBe(1108);
          expectIds(realIds(encoded), tensors, `p${i}.ids`);
          expect(encoded.length - HUNYUAN_VIDEO_15_CROP_START).toBe(valid_after_crop);
          if (opened.parameters.pad_token_id !== undefined)
            expect(tokenizer.padTokenId).toBe(opened.parameters.pad_token_id);
        }
        for (const [name, prompt] of runPrompts(opened))
          expectIds(realIds(encodeHunyuanVideo15Prompt(tokenizer, prompt)), tensors, `${name}.ids`);
      }
      if (has("tokenizer_2")) {
        const tokenizer = await open(opened, "tokenizer_2");
        for (const [i, { prompt, glyph_text }] of prompts.entries()) {
          if (glyph_text === undefined) continue;
          expect(hunyuanVideo15GlyphText(prompt) ?? null).toBe(glyph_text);
          const encoded = encodeHunyuanVideo15Glyphs(tokenizer, prompt);
          if (encoded) expectIds(realIds(encoded), tensors, `p${i}.ids`);
          else expect(tensors[`p${i}.ids`]).toBeUndefined();
        }
        for (const [name, prompt] of runPrompts(opened)) {
          const encoded = encodeHunyuanVideo15Glyphs(tokenizer, prompt);
          if (encoded) expectIds(realIds(encoded), tensors, `${name}.glyph_ids`);
          else expect(tensors[`${name}.glyph_ids`]).toBeUndefined();
        }
      }
    });
  }
});

const cogvideox = casesWith("cogvideox", ["tokenizer"]);
describe.skipIf(cogvideox.length === 0)("CogVideoX", () => {
  for (const reference of cogvideox) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const folder = nodeFolder(join(opened.checkpoint, "tokenizer"));
      const tokenizers = [await loadTokenizer(folder)];
      // Where both kinds of file are there, the bare SentencePiece model must give the same ids.
      if ((await folder.exists("tokenizer.json")) && (await folder.exists("spiece.model")))
        tokenizers.push(
          await loadTokenizer({
            ...folder,
            exists: async (path) => path !== "tokenizer.json" && folder.exists(path),
          }),
        );
      const length = Number(opened.parameters.max_sequence_length);
      for (const tokenizer of tokenizers) {
        for (const [i, entry] of ((opened.parameters.prompts ?? []) as PromptEntry[]).entries()) {
          const encoded = encodeCogVideoXPrompt(tokenizer, entry.prompt, length);
          expectIds(encoded.ids, opened.tensors, `p${i}.ids`);
          expect(encoded.length).toBe(entry.real_tokens);
          expect(encoded.untruncatedLength > encoded.length).toBe(entry.truncated);
        }
        for (const [name, prompt] of runPrompts(opened))
          expectIds(encodeCogVideoXPrompt(tokenizer, prompt, length).ids, opened.tensors, `${name}.ids`);
      }
    });
  }
});

const cosmos3 = casesWith("cosmos3", ["text_tokenizer"]);
describe.skipIf(cosmos3.length === 0)("Cosmos 3", () => {
  for (const reference of cosmos3) {
    it(reference.name, async () => {
      expect.hasAssertions();
      const opened = await openCase(reference);
      const { parameters, tensors } = opened;
      const tokenizer = await open(opened, "text_tokenizer");
      const rendered = parameters.rendered_chat as Record<string, Record<string, string>>;
      const runs = parameters.runs as Record<string, { num_frames: number; height: number; width: number }>;
      for (const [run, { num_frames, height, width }] of Object.entries(runs)) {
        for (const [name, prompt] of runPrompts(opened)) {
          const negative = name === "negative";
          const options = { numFrames: num_frames, height, width, fps: Number(parameters.fps), negative };
          expect(tokenizer.renderChat(cosmos3Chat(prompt, options), { addGenerationPrompt: true })).toBe(
            rendered[run]?.[name],
          );
          expectIds(encodeCosmos3Prompt(tokenizer, prompt, options).ids, tensors, `${run}.${name}.ids`);
        }
      }
    });
  }
});

const chats = referenceCases("cosmos3").filter(hasExpected);
describe.skipIf(chats.length === 0)("Cosmos 3 chats", () => {
  it("are those of every case that states them", async () => {
    let compared = 0;
    for (const reference of chats) {
      const { parameters } = await openCase(reference);
      const messages = parameters.chat_messages as
        | Record<string, { role: string; content: string }[]>
        | undefined;
      if (!messages) continue;
      const number = (key: string) => Number(parameters[key]);
      const vaeScale = 16;
      for (const negative of [false, true]) {
        const prompt = String(negative ? parameters.negative_prompt : parameters.prompt);
        const options = {
          numFrames: number("num_frames"),
          height: number("h") * vaeScale,
          width: number("w") * vaeScale,
          fps: number("fps"),
          negative,
        };
        expect(cosmos3Chat(prompt, options)).toEqual(messages[negative ? "negative" : "positive"]);
        compared++;
      }
    }
    if (compared === 0) console.warn("no Cosmos 3 case states its chat: set LVSA_REFERENCE_DIR");
  });
});
