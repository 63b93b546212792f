/** Prompts to text embeddings, as diffusers' `CogVideoXPipeline` makes them: padding is encoded like text. */
import { type Device, type FolderReader, subFolder } from "@lvsa/runtime";
import { T5EncoderModel } from "../../models/text-encoders/t5-encoder.js";
import { encodeCogVideoXPrompt, loadTokenizer, type Tokenizer } from "../../tokenizers/index.js";
import type { EncodedPrompt } from "../prompt-cache.js";
import { type EncodeRun, PromptEncoder } from "../prompt-embeds.js";

/** `embeds` are `[1, maxSequenceLength, text_embed_dim]`. */
export class CogVideoXPromptEncoder extends PromptEncoder {
  readonly #tokenizer: Tokenizer;

  private constructor(device: Device, folder: FolderReader, tokenizer: Tokenizer) {
    super(device, folder);
    this.#tokenizer = tokenizer;
  }

  static async open(device: Device, folder: FolderReader): Promise<CogVideoXPromptEncoder> {
    return new CogVideoXPromptEncoder(device, folder, await loadTokenizer(subFolder(folder, "tokenizer")));
  }

  protected override async encode(
    texts: readonly string[],
    maxSequenceLength: number,
    run: EncodeRun,
  ): Promise<EncodedPrompt[]> {
    const tokenized = texts.map((text) => encodeCogVideoXPrompt(this.#tokenizer, text, maxSequenceLength));
    const ids = tokenized.map((text) => text.ids);
    const hidden = await this.hiddenStates("text_encoder", ids, run, (source, config) => {
      return new T5EncoderModel(this.device, source, config);
    });
    return hidden.map((embeds, i) => {
      const wasCut = tokenized[i]!.untruncatedLength > maxSequenceLength;
      return { embeds, cuts: wasCut ? [`was cut to ${maxSequenceLength} tokens`] : [] };
    });
  }
}
