/** Prompts to padded text embeddings, as diffusers' `WanPipeline` makes them. */
import { type Device, type FolderReader, subFolder, type Tensor } from "@lvsa/runtime";
import { loadTokenizer, type Tokenizer } from "@lvsa/tokenizers";
import { T5EncoderModel } from "../../models/text-encoders/t5-encoder.js";
import { promptClean } from "../../prompts/prompt-clean.js";
import { openComponent, readJson } from "../checkpoint-folder.js";
import type { GenerateOptions } from "../video-pipeline.js";

export interface EncodedPrompt {
  /** `[1, maxSequenceLength, text_dim]` f32; rows past the real tokens are zero. The caller disposes it. */
  readonly embeds: Tensor;
  /** Real tokens, `</s>` included. */
  readonly length: number;
  readonly wasTruncated: boolean;
}

export class WanPromptEncoder {
  readonly #device: Device;
  readonly #folder: FolderReader;
  readonly #tokenizer: Tokenizer;

  constructor(device: Device, folder: FolderReader, tokenizer: Tokenizer) {
    this.#device = device;
    this.#folder = folder;
    this.#tokenizer = tokenizer;
  }

  static async open(device: Device, folder: FolderReader): Promise<WanPromptEncoder> {
    return new WanPromptEncoder(device, folder, await loadTokenizer(subFolder(folder, "tokenizer")));
  }

  /** Embeds all prompts with one pass over the encoder's weights per prompt; weights are freed at the end. */
  async encode(
    prompts: readonly string[],
    maxSequenceLength: number,
    options: Pick<GenerateOptions, "signal" | "onStage">,
  ): Promise<EncodedPrompt[]> {
    const source = await openComponent(this.#folder, "text_encoder", "model");
    try {
      const config = await readJson(this.#folder, "text_encoder/config.json");
      const encoder = new T5EncoderModel(this.#device, source, config);
      const out: EncodedPrompt[] = [];
      for (const [i, prompt] of prompts.entries()) {
        const text = promptClean(prompt);
        const { ids, length, untruncatedLength } = this.#tokenizer.encode(text, {
          maxLength: maxSequenceLength,
          padding: "none",
        });
        const hidden = await encoder.encode(ids, {
          ...(options.signal ? { signal: options.signal } : {}),
          onProgress: (done, total) =>
            options.onStage?.({
              stage: "encode-prompt",
              done: done + i * total,
              total: total * prompts.length,
            }),
        });
        out.push({
          embeds: this.#pad(hidden, maxSequenceLength),
          length,
          wasTruncated: untruncatedLength > maxSequenceLength,
        });
      }
      return out;
    } finally {
      await source.close();
    }
  }

  #pad(hidden: Tensor, rows: number): Tensor {
    const device = this.#device;
    const [, length, width] = hidden.shape as [number, number, number];
    const padded = device.scope(() => {
      const all = device.zeros([rows, width]);
      device.copyBytes(hidden, all.rows(0, length));
      return all.reshape([1, rows, width]);
    });
    hidden.dispose();
    return padded;
  }
}
