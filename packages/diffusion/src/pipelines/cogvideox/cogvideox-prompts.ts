/** Prompts to text embeddings, as diffusers' `CogVideoXPipeline` makes them: padding is encoded like text. */
import { type Device, type FolderReader, subFolder, type Tensor } from "@lvsa/runtime";
import { loadTokenizer, type Tokenizer } from "@lvsa/tokenizers";
import { T5EncoderModel } from "../../models/text-encoders/t5-encoder.js";
import { encodeCogVideoXPrompt } from "../../prompts/prompts-cogvideox.js";
import { openComponent, readJson } from "../checkpoint-folder.js";
import type { GenerateOptions } from "../video-pipeline.js";

export interface CogVideoXPrompt {
  /** `[1, maxSequenceLength, text_embed_dim]` f32. The caller disposes it. */
  readonly embeds: Tensor;
  readonly wasTruncated: boolean;
}

export class CogVideoXPromptEncoder {
  readonly #device: Device;
  readonly #folder: FolderReader;
  readonly #tokenizer: Tokenizer;

  private constructor(device: Device, folder: FolderReader, tokenizer: Tokenizer) {
    this.#device = device;
    this.#folder = folder;
    this.#tokenizer = tokenizer;
  }

  static async open(device: Device, folder: FolderReader): Promise<CogVideoXPromptEncoder> {
    return new CogVideoXPromptEncoder(device, folder, await loadTokenizer(subFolder(folder, "tokenizer")));
  }

  /** Embeds all prompts with one pass over the encoder's weights each; weights are freed on the way. */
  async encode(
    prompts: readonly string[],
    maxSequenceLength: number,
    options: Pick<GenerateOptions, "signal" | "onStage">,
  ): Promise<CogVideoXPrompt[]> {
    const source = await openComponent(this.#folder, "text_encoder", "model");
    const out: CogVideoXPrompt[] = [];
    try {
      const config = await readJson(this.#folder, "text_encoder/config.json");
      const encoder = new T5EncoderModel(this.#device, source, config);
      for (const [i, prompt] of prompts.entries()) {
        const text = encodeCogVideoXPrompt(this.#tokenizer, prompt, maxSequenceLength);
        const embeds = await encoder.encode(text.ids, {
          ...(options.signal ? { signal: options.signal } : {}),
          onProgress: (done, total) =>
            options.onStage?.({
              stage: "encode-prompt",
              component: "text_encoder",
              done: done + i * total,
              total: total * prompts.length,
            }),
        });
        out.push({ embeds, wasTruncated: text.untruncatedLength > maxSequenceLength });
      }
      return out;
    } catch (error) {
      for (const { embeds } of out) embeds.dispose();
      throw error;
    } finally {
      await source.close();
    }
  }
}
