/** Prompts to the embeddings of both text encoders, as diffusers' `HunyuanVideo15Pipeline` makes them. */
import { ConfigError, type Device, type FolderReader, subFolder, type Tensor } from "@lvsa/runtime";
import { type EncodedText, loadTokenizer, type Tokenizer } from "@lvsa/tokenizers";
import { Qwen25VLTextModel } from "../../models/text-encoders/qwen2-5-vl-text-model.js";
import { T5EncoderModel } from "../../models/text-encoders/t5-encoder.js";
import {
  encodeHunyuanVideo15Glyphs,
  encodeHunyuanVideo15Prompt,
  HUNYUAN_VIDEO_15_CROP_START,
  HUNYUAN_VIDEO_15_GLYPH_LENGTH,
} from "../../prompts/prompts-hunyuan.js";
import { openComponent, readJson } from "../checkpoint-folder.js";
import type { GenerateOptions } from "../video-pipeline.js";

/** Layers at the end of the text encoder, and its final norm, that the model was trained without. */
const SKIPPED_LAYERS = 2;

export interface HunyuanVideo15Prompt {
  /** `[1, L, text_embed_dim]` f32, real tokens behind the template. */
  readonly text: Tensor;
  /** `[1, L2, text_embed_2_dim]` f32, real tokens; undefined when the prompt quotes no text. */
  readonly glyph: Tensor | undefined;
  /** What was cut off, for the user. */
  readonly notes: readonly string[];
}

interface Tokenized {
  readonly text: EncodedText;
  readonly glyph: EncodedText | undefined;
}

export function disposePrompt(prompt: HunyuanVideo15Prompt | undefined): void {
  prompt?.text.dispose();
  prompt?.glyph?.dispose();
}

export class HunyuanVideo15PromptEncoder {
  readonly #device: Device;
  readonly #folder: FolderReader;
  readonly #tokenizer: Tokenizer;
  readonly #glyphTokenizer: Tokenizer;

  private constructor(device: Device, folder: FolderReader, tokenizer: Tokenizer, glyphTokenizer: Tokenizer) {
    this.#device = device;
    this.#folder = folder;
    this.#tokenizer = tokenizer;
    this.#glyphTokenizer = glyphTokenizer;
  }

  static async open(device: Device, folder: FolderReader): Promise<HunyuanVideo15PromptEncoder> {
    const [tokenizer, glyphTokenizer] = await Promise.all([
      loadTokenizer(subFolder(folder, "tokenizer")),
      loadTokenizer(subFolder(folder, "tokenizer_2")),
    ]);
    return new HunyuanVideo15PromptEncoder(device, folder, tokenizer, glyphTokenizer);
  }

  /** Embeds all prompts with one pass over each encoder's weights. The caller disposes the results. */
  async encode(
    prompts: readonly string[],
    maxSequenceLength: number,
    options: Pick<GenerateOptions, "signal" | "onStage">,
  ): Promise<HunyuanVideo15Prompt[]> {
    const tokenized = prompts.map((prompt) => ({
      text: encodeHunyuanVideo15Prompt(this.#tokenizer, prompt, maxSequenceLength),
      glyph: encodeHunyuanVideo15Glyphs(this.#glyphTokenizer, prompt),
    }));
    const glyphs = await this.#glyphs(tokenized, options);
    try {
      const texts = await this.#texts(tokenized, options);
      return texts.map((text, i) => ({
        text,
        glyph: glyphs[i],
        notes: truncationNotes(tokenized[i]!, maxSequenceLength),
      }));
    } catch (error) {
      for (const glyph of glyphs) glyph?.dispose();
      throw error;
    }
  }

  async #texts(
    tokenized: readonly Tokenized[],
    options: Pick<GenerateOptions, "signal" | "onStage">,
  ): Promise<Tensor[]> {
    for (const { text } of tokenized) {
      if (text.length > HUNYUAN_VIDEO_15_CROP_START) continue;
      throw new ConfigError(
        "BAD_CHAT_TEMPLATE",
        `the rendered chat has ${text.length} tokens, of which the first ${HUNYUAN_VIDEO_15_CROP_START} are the template`,
        { fix: "Check tokenizer/chat_template.jinja: it must be that of Qwen2.5-VL." },
      );
    }
    const source = await openComponent(this.#folder, "text_encoder", "model");
    try {
      const config = await readJson(this.#folder, "text_encoder/config.json");
      const encoder = new Qwen25VLTextModel(this.#device, source, config);
      const ids = tokenized.map(({ text }) => text.ids.subarray(0, text.length));
      const hidden = await encoder.encode(ids, {
        skipLayers: SKIPPED_LAYERS,
        ...(options.signal ? { signal: options.signal } : {}),
        onProgress: (done, total) =>
          options.onStage?.({ stage: "encode-prompt", component: "text_encoder", done, total }),
      });
      return hidden.map((x) => this.#crop(x));
    } finally {
      await source.close();
    }
  }

  /** One per prompt; the encoder is opened only where some prompt quotes text. */
  async #glyphs(
    tokenized: readonly Tokenized[],
    options: Pick<GenerateOptions, "signal" | "onStage">,
  ): Promise<(Tensor | undefined)[]> {
    const out: (Tensor | undefined)[] = [];
    if (tokenized.every(({ glyph }) => glyph === undefined)) return tokenized.map(() => undefined);
    const source = await openComponent(this.#folder, "text_encoder_2", "model");
    try {
      const config = await readJson(this.#folder, "text_encoder_2/config.json");
      const encoder = new T5EncoderModel(this.#device, source, config);
      for (const { glyph } of tokenized) {
        const ids = glyph?.ids.subarray(0, glyph.length);
        out.push(
          ids &&
            (await encoder.encode(ids, {
              ...(options.signal ? { signal: options.signal } : {}),
              onProgress: (done, total) =>
                options.onStage?.({ stage: "encode-prompt", component: "text_encoder_2", done, total }),
            })),
        );
      }
      return out;
    } catch (error) {
      for (const glyph of out) glyph?.dispose();
      throw error;
    } finally {
      await source.close();
    }
  }

  /** Copies the rows behind the template, and frees the rest. */
  #crop(hidden: Tensor): Tensor {
    const device = this.#device;
    const [, length, width] = hidden.shape as [number, number, number];
    const rows = length - HUNYUAN_VIDEO_15_CROP_START;
    const out = device.empty([1, rows, width]);
    device.scope(() => {
      const kept = hidden.reshape([length, width]).rows(HUNYUAN_VIDEO_15_CROP_START, length);
      device.copyBytes(kept, out);
    });
    hidden.dispose();
    return out;
  }
}

function truncationNotes({ text, glyph }: Tokenized, maxSequenceLength: number): string[] {
  const notes: string[] = [];
  if (text.untruncatedLength > text.length) notes.push(`The prompt was cut to ${maxSequenceLength} tokens.`);
  if (glyph && glyph.untruncatedLength > glyph.length) {
    notes.push(`The quoted text was cut to ${HUNYUAN_VIDEO_15_GLYPH_LENGTH} bytes.`);
  }
  return notes;
}
