/** How many tokens a generation's prompts have: what a plan can know of them before anything is encoded. */
import { type FolderReader, subFolder } from "@lvsa/runtime";
import { loadTokenizer } from "@lvsa/tokenizers";
import { loadT5Tokenizer } from "@lvsa/tokenizers/t5";
import type { ModelDescription } from "../catalog/model-description.js";
import { modelShape } from "../catalog/model-shape.js";
import { readModelIndex } from "../checkpoint/checkpoint-folder.js";
import type { TokenRows } from "../models/definition/video-model.js";
import { openWanTokenize } from "../pipelines/wan/wan-prompts.js";
import { encodeCogVideoXPrompt } from "../prompts/prompts-cogvideox.js";
import { encodeCosmos3Prompt } from "../prompts/prompts-cosmos3.js";
import { encodeHunyuanVideo15Glyphs, encodeHunyuanVideo15Prompt } from "../prompts/prompts-hunyuan.js";
import type { RehearsalOptions } from "./rehearse-memory.js";
import type { PromptTokens } from "./stand-in-families.js";

export interface Prompts extends Pick<RehearsalOptions, "numFrames" | "height" | "width"> {
  readonly prompt: string;
  /** Default: the model's. */
  readonly negativePrompt?: string | undefined;
}

type Count = (text: string, isNegative: boolean) => PromptTokens;

/**
 * Tokens of the prompt and, after it, of the negative one, as the pipeline's text encoders read them.
 *
 * @throws as opening the checkpoint's tokenizers does
 */
export async function promptTokens(
  folder: FolderReader,
  model: ModelDescription,
  { prompt, negativePrompt = model.defaults.negativePrompt, ...clip }: Prompts,
): Promise<[PromptTokens, PromptTokens]> {
  const count = await counters[model.family](folder, modelShape(model).rows, {
    ...model.defaults,
    ...defined(clip),
  });
  return [count(prompt, false), count(negativePrompt, true)];
}

type Counter = (folder: FolderReader, rows: TokenRows, clip: ModelDescription["defaults"]) => Promise<Count>;

const counters: Readonly<Record<ModelDescription["family"], Counter>> = {
  wan: async (folder, { text: most = 0 }) => {
    const tokenize = await openWanTokenize(folder);
    return (text) => ({ text: tokenize(text, most).ids.length, glyph: 0 });
  },
  cogvideox: async (folder, { text: most = 0 }) => {
    const tokenizer = await loadT5Tokenizer(subFolder(folder, "tokenizer"));
    return (text) => ({ text: encodeCogVideoXPrompt(tokenizer, text, most).ids.length, glyph: 0 });
  },
  hunyuan: async (folder, { prompt: most }) => {
    const [tokenizer, glyphs] = await Promise.all([
      loadTokenizer(subFolder(folder, "tokenizer")),
      loadTokenizer(subFolder(folder, "tokenizer_2")),
    ]);
    return (text) => ({
      text: encodeHunyuanVideo15Prompt(tokenizer, text, most).length,
      glyph: encodeHunyuanVideo15Glyphs(glyphs, text)?.length ?? 0,
    });
  },
  cosmos3: async (folder, _rows, { numFrames, height, width, fps }) => {
    const { default_use_system_prompt: useSystemPrompt = true } = await readModelIndex(folder);
    const tokenizer = await loadTokenizer(subFolder(folder, "text_tokenizer"));
    const common = { numFrames, height, width, fps, useSystemPrompt: useSystemPrompt !== false };
    return (text, negative) => ({
      text: encodeCosmos3Prompt(tokenizer, text, { ...common, negative }).ids.length,
      glyph: 0,
    });
  },
};

function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
