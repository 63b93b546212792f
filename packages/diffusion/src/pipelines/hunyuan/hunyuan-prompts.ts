/** Prompts to the embeddings of both text encoders, as diffusers' `HunyuanVideo15Pipeline` makes them. */
import { ConfigError, type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { type EncodedText, loadTokenizer, type Tokenizer } from "@lvsa/tokenizers";
import { Qwen25VLTextModel } from "../../models/text-encoders/qwen2-5-vl-text-model.js";
import { T5EncoderModel } from "../../models/text-encoders/t5-encoder.js";
import {
  encodeHunyuanVideo15Glyphs,
  encodeHunyuanVideo15Prompt,
  HUNYUAN_VIDEO_15_CROP_START,
  HUNYUAN_VIDEO_15_GLYPH_LENGTH,
} from "../../prompts/prompts-hunyuan.js";
import type { EncodeRun } from "../pipeline-parts.js";
import type { EncodedPrompt } from "../prompt-cache.js";
import { PromptEncoder } from "../prompt-embeds.js";
import type { HostTensor } from "../video-pipeline.js";

/** Layers at the end of the text encoder, and its final norm, that the model was trained without. */
const SKIPPED_LAYERS = 2;

interface Tokenized {
  readonly text: EncodedText;
  readonly glyph: EncodedText | undefined;
}

/**
 * `embeds` are `[1, L, text_embed_dim]`, the real tokens behind the template; `embeds2` `[1, L2, text_embed_2_dim]`, real
 * tokens, undefined when the prompt quotes no text.
 */
export class HunyuanVideo15PromptEncoder extends PromptEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #glyphTokenizer: Tokenizer;

  private constructor(device: Device, folder: FolderReader, tokenizer: Tokenizer, glyphTokenizer: Tokenizer) {
    super(device, folder);
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

  protected override async encode(
    texts: readonly string[],
    maxSequenceLength: number,
    run: EncodeRun,
  ): Promise<EncodedPrompt[]> {
    const tokenized = texts.map((text) => ({
      text: encodeHunyuanVideo15Prompt(this.#tokenizer, text, maxSequenceLength),
      glyph: encodeHunyuanVideo15Glyphs(this.#glyphTokenizer, text),
    }));
    const glyphs = await this.#glyphs(tokenized, run);
    const hidden = await this.#texts(tokenized, run);
    return hidden.map((embeds, i) => ({
      ...{ embeds, embeds2: glyphs[i] },
      cuts: cutsOf(tokenized[i]!, maxSequenceLength),
    }));
  }

  async #texts(tokenized: readonly Tokenized[], run: EncodeRun): Promise<HostTensor[]> {
    for (const { text } of tokenized) {
      if (text.length > HUNYUAN_VIDEO_15_CROP_START) continue;
      throw new ConfigError(
        "BAD_CHAT_TEMPLATE",
        `the rendered chat has ${text.length} tokens, of which the first ${HUNYUAN_VIDEO_15_CROP_START} are the template`,
        { fix: "Check tokenizer/chat_template.jinja: it must be that of Qwen2.5-VL." },
      );
    }
    const ids = tokenized.map(({ text }) => text.ids.subarray(0, text.length));
    const hidden = await this.hiddenStates("text_encoder", ids, run, (source, config) => {
      const model = new Qwen25VLTextModel(this.device, source, config);
      return { encode: (all, options) => model.encode(all, { ...options, skipLayers: SKIPPED_LAYERS }) };
    });
    return hidden.map(withoutTemplate);
  }

  /** One per prompt; the encoder is opened only where some prompt quotes text. */
  async #glyphs(tokenized: readonly Tokenized[], run: EncodeRun): Promise<(HostTensor | undefined)[]> {
    const quoting = tokenized.flatMap(({ glyph }) => (glyph ? [glyph.ids.subarray(0, glyph.length)] : []));
    if (quoting.length === 0) return tokenized.map(() => undefined);
    const hidden = await this.hiddenStates("text_encoder_2", quoting, run, (source, config) => {
      return new T5EncoderModel(this.device, source, config);
    });
    return tokenized.map(({ glyph }) => glyph && hidden.shift());
  }
}

/** The rows behind the template. */
function withoutTemplate({ data, shape }: HostTensor): HostTensor {
  const [, length, width] = shape as [number, number, number];
  const rows = length - HUNYUAN_VIDEO_15_CROP_START;
  return { data: data.slice(HUNYUAN_VIDEO_15_CROP_START * width), shape: [1, rows, width] };
}

function cutsOf({ text, glyph }: Tokenized, maxSequenceLength: number): string[] {
  const cuts: string[] = [];
  if (text.untruncatedLength > text.length) cuts.push(`was cut to ${maxSequenceLength} tokens`);
  if (glyph && glyph.untruncatedLength > glyph.length) {
    cuts.push(`quotes a text that was cut to ${HUNYUAN_VIDEO_15_GLYPH_LENGTH} bytes`);
  }
  return cuts;
}
